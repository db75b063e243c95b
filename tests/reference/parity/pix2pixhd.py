# SPDX-License-Identifier: Apache-2.0
"""pix2pixHD, pix2pixHD++ and the wash-away test against the reference's numbers."""

from typing import Any

import torch
from parity.case import INSTANCE_NORM_TOLERANCE, TOLERANCE, Case, layout_of
from parity.spade import compare_discriminator, spade_generator
from torch import Tensor, nn

from spade_eval.models.discriminators.multiscale import MultiscaleDiscriminator, published_names
from spade_eval.models.encoders.instance_features import InstanceFeatureEncoder, instance_mean
from spade_eval.models.generators.local_enhancer import LocalEnhancerGenerator
from spade_eval.models.generators.pix2pixhd import Pix2PixHDGenerator
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.semantics import SemanticMap


def _settings(options: dict[str, Any], num_labels: int) -> dict[str, Any]:
    norm = {"instance": "instance", "batch": "syncbatch"}[options["norm"]]
    return {
        "num_labels": num_labels,
        "base_channels": options["ngf"],
        "num_downsamplings": options["n_downsample_global"],
        "num_blocks": options["n_blocks_global"],
        "norm": norm,
    }


def pix2pixhdpp_generator(options: dict[str, Any]) -> Pix2PixHDGenerator:
    """The SPADE repository's pix2pixHD of these options."""
    kind = options["norm_G"].removeprefix("spectral")
    assert options["norm_G"] != kind, "the repository builds spectral variants alone"
    return Pix2PixHDGenerator(
        Pix2PixHDGenerator.Config(
            num_labels=layout_of(options).num_labels,
            base_channels=options["ngf"],
            num_downsamplings=options["resnet_n_downsample"],
            num_blocks=options["resnet_n_blocks"],
            block_kernel_size=options.get("resnet_kernel_size", 3),
            outer_kernel_size=options.get("resnet_initial_kernel_size", 7),
            norm={"sync_batch": "syncbatch"}.get(kind, kind),
            spectral=True,
            conv_bias=False,
        )
    )


def check_global(case: Case) -> None:
    settings = _settings(case.options, case.options["input_nc"])
    _compare_generator(case, Pix2PixHDGenerator(Pix2PixHDGenerator.Config(**settings)))


def check_local(case: Case) -> None:
    config = LocalEnhancerGenerator.Config(
        **_settings(case.options, case.options["input_nc"]),
        num_enhancers=case.options["n_local_enhancers"],
        num_local_blocks=case.options["n_blocks_local"],
    )
    _compare_generator(case, LocalEnhancerGenerator(config))


def check_pix2pixhdpp(case: Case) -> None:
    _compare_generator(case, pix2pixhdpp_generator(case.options))


def _compare_generator(case: Case, generator: nn.Module) -> None:
    case.prepare(generator)
    instance = generator.config.norm == "instance"
    tolerance = INSTANCE_NORM_TOLERANCE if instance else TOLERANCE
    with torch.no_grad():
        y = generator(case.semantics())
    case.output("out_y", y, tolerance)
    # The files of this family hold the sample deviation, SPADE's the population's.
    case.statistics("out_y", y, tolerance, correction=1)


def check_discriminator(case: Case) -> None:
    options = case.options
    discriminator = MultiscaleDiscriminator(
        MultiscaleDiscriminator.Config(
            num_labels=layout_of(options).num_labels,
            base_channels=options["ndf"],
            num_layers=options["n_layers_D"] + 1,  # pix2pixHD does not count the first layer
            num_scales=options["num_D"],
            norm=options.get("norm", "instance"),
        )
    )
    names = published_names(
        discriminator.config, intermediate_features=options.get("getIntermFeat", True)
    )
    compare_discriminator(case, discriminator, names)


def check_encoder(case: Case) -> None:
    encoder = InstanceFeatureEncoder(
        InstanceFeatureEncoder.Config(
            num_features=case.options["feat_num"],
            base_channels=case.options["nef"],
            num_downsamplings=case.options["n_downsample_E"],
        )
    )
    case.prepare(encoder)
    with torch.no_grad():
        raw = encoder.raw(case.image())
        pooled = encoder(case.image(), case.tensor("in_instance"))
    case.output("out_raw", raw, INSTANCE_NORM_TOLERANCE)
    case.output("out_pooled", pooled, INSTANCE_NORM_TOLERANCE)
    assert torch.equal(pooled, instance_mean(raw, case.tensor("in_instance")))


def check_washaway(case: Case) -> None:
    """Uniform label maps: instance norm removes the label, SPADE keeps it."""
    labels, size = case.meta["labels"], tuple(case.meta["size"])
    outputs = {
        name: uniform_outputs(case.prepare(network), labels, size)
        for name, network in washaway_networks(case.options).items()
    }
    centre = torch.stack([y[0, :, size[0] // 2, size[1] // 2] for y in outputs["pix2pixhd"]])
    case.close("centre", centre, case.arrays["out_pix2pixhd_center"], TOLERANCE)
    bias = torch.tensor(case.meta["tanh_of_last_bias"])
    for label, y in zip(labels, outputs["pix2pixhd"], strict=True):
        assert torch.equal(y, outputs["pix2pixhd"][0])  # the same image for every label
        case.close(f"colour {label}", y[0].amax((1, 2)), bias, 1e-6)
        case.close(f"range {label}", y.amax((2, 3)) - y.amin((2, 3)), torch.zeros(1, 3), 0.0)
    for network in ("spade", "pix2pixhdpp"):
        for label, y in zip(labels, outputs[network], strict=True):
            name = f"out_{network}_{label}"
            stride = size[0] // case.arrays[name].shape[-1]
            case.close(name, y[:, :, ::stride, ::stride], case.arrays[name], TOLERANCE)
    known = case.meta["max_abs_difference"]
    _compare_differences(case, labels, outputs["spade"], known["spade_syncbatch_eval"])
    _compare_differences(
        case, labels, outputs["pix2pixhdpp"], known["pix2pixhdpp_spectralsync_batch_eval"]
    )
    _check_first_norm(case, labels, size)


def washaway_networks(options: dict[str, Any]) -> dict[str, nn.Module]:
    """The generators under test, pix2pixHD's with exact means."""
    of_pix2pixhd = options["pix2pixhd"]
    settings = _settings(of_pix2pixhd, of_pix2pixhd["input_nc"]) | {"norm": "instance_exact"}
    return {
        "pix2pixhd": Pix2PixHDGenerator(Pix2PixHDGenerator.Config(**settings)),
        "spade": spade_generator(options["spade"] | {"num_upsampling_layers": "normal"}),
        "pix2pixhdpp": pix2pixhdpp_generator(options["pix2pixhdpp"]),
    }


def _uniform_map(label: int, num_labels: int, size: tuple[int, ...]) -> SemanticMap:
    """One label everywhere and one instance: the edge channel, the last one, is zero."""
    layout = SemanticLayout(num_classes=num_labels - 1, edges=True)
    full = torch.full((1, *size), label)
    return SemanticMap(full, layout, torch.zeros_like(full))


def uniform_outputs(generator: nn.Module, labels: list[int], size: tuple[int, ...]) -> list[Tensor]:
    """The image of each label's uniform map."""
    num_labels = generator.config.num_labels
    with torch.no_grad():
        return [generator(_uniform_map(label, num_labels, size)) for label in labels]


def _compare_differences(
    case: Case, labels: list[int], outputs: list[Tensor], known: dict[str, float]
) -> None:
    for i, first in enumerate(labels):
        for j in range(i + 1, len(labels)):
            name = f"{first}_vs_{labels[j]}"
            largest = (outputs[i] - outputs[j]).abs().max()
            case.close(name, largest, known[name], TOLERANCE)


def _check_first_norm(case: Case, labels: list[int], size: tuple[int, ...]) -> None:
    """Plain float32 instance norm leaves rounding noise of a few 1e-6, which must stay noise."""
    options = case.options["pix2pixhd"]
    generator = Pix2PixHDGenerator(
        Pix2PixHDGenerator.Config(**_settings(options, options["input_nc"]))
    )
    case.prepare(generator)
    with torch.no_grad():
        for label in labels:
            semantics = _uniform_map(label, generator.config.num_labels, size)
            washed = generator.trunk.stem(semantics.full, semantics)
            assert washed.abs().max() < 1e-4
