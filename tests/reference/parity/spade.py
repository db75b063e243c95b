# SPDX-License-Identifier: Apache-2.0
"""SPADE layers, blocks, generators, encoder and discriminators against the reference's numbers."""

from typing import Any

import torch
from parity.case import INSTANCE_NORM_TOLERANCE, TOLERANCE, Case, layout_of, norm_options
from torch import Tensor, nn

from spade_eval.models.checkpoints.published import Names
from spade_eval.models.discriminators.multiscale import MultiscaleDiscriminator
from spade_eval.models.encoders.variational import ImageEncoder
from spade_eval.models.generators.spade import (
    NUM_UPSAMPLINGS,
    SPADEGenerator,
    Upsampling,
    published_names,
)
from spade_eval.models.labels import Size
from spade_eval.models.layers.resblocks import SPADEResBlock
from spade_eval.models.layers.spade import SPADE, norm_maker
from spade_eval.models.semantics import instance_edges


def check_edges(case: Case) -> None:
    edges = instance_edges(case.tensor("in_instance"))
    case.close("out_edge", edges.float(), case.arrays["out_edge"], tolerance=0.0)


def check_layer(case: Case) -> None:
    layer = SPADE(
        case.meta["norm_nc"],
        case.meta["label_nc"],
        param_free=case.meta["param_free_norm"],
        kernel_size=case.meta["kernel"],
    )
    case.prepare(layer)
    y = layer(case.tensor("in_x"), case.plain_semantics(case.meta["label_nc"]))
    case.output("out_y", y, TOLERANCE)
    for name in ("running_mean", "running_var"):
        if f"out_{name}" in case.arrays:
            case.output(f"out_{name}", getattr(layer.param_free_norm, name), TOLERANCE)


def check_block(case: Case) -> None:
    options = norm_options(case.meta["norm_G"])
    make_norm = norm_maker(
        "spade",
        case.meta["semantic_nc"],
        param_free=options["param_free_norm"],
        kernel_size=options["spade_kernel_size"],
    )
    block = SPADEResBlock(
        case.meta["fin"], case.meta["fout"], make_norm, spectral=options["spectral"]
    )
    case.prepare(block)
    y = block(case.tensor("in_x"), case.plain_semantics(case.meta["semantic_nc"]))
    case.output("out_y", y, TOLERANCE)


def spade_generator(options: dict[str, Any]) -> SPADEGenerator:
    """The generator of the reference's options."""
    upsampling = options.get("num_upsampling_layers", "normal")
    return SPADEGenerator(
        SPADEGenerator.Config(
            num_labels=layout_of(options).num_labels,
            base_channels=options["ngf"],
            upsampling=upsampling,
            z_dim=options.get("z_dim", 256) if options.get("use_vae") else None,
            image_size=published_size(
                options["crop_size"], options.get("aspect_ratio", 1.0), upsampling
            ),
            **norm_options(options["norm_G"]),
        )
    )


def published_size(crop_size: int, aspect_ratio: float, upsampling: Upsampling) -> Size:
    """Return the (height, width) that the published options crop_size and aspect_ratio mean."""
    scale = 2 ** NUM_UPSAMPLINGS[upsampling]
    width = crop_size // scale
    return round(width / aspect_ratio) * scale, width * scale


def check_generator(case: Case) -> None:
    generator = spade_generator(case.options)
    if "n_params" in case.meta:
        assert sum(p.numel() for p in generator.parameters()) == case.meta["n_params"]
    case.prepare(generator)
    outputs = _record_outputs(generator, published_names(generator.config))
    z = case.tensor("in_z") if "in_z" in case.arrays else None
    with torch.no_grad():
        y = generator(case.semantics(), z)
    # Chains of instance norms amplify rounding, as the notes say of such networks.
    by_norm = {"instance": INSTANCE_NORM_TOLERANCE}
    tolerance = by_norm.get(generator.config.param_free_norm, TOLERANCE)
    case.output("out_y", y, tolerance)
    case.statistics("out_y", y, tolerance)
    for name, (mean, std) in case.meta.get("module_mean_std", {}).items():
        case.close(f"{name} mean", outputs[name].mean(), mean, tolerance)
        case.close(f"{name} std", outputs[name].std(correction=0), std, tolerance)


def _record_outputs(network: nn.Module, names: dict[str, str]) -> dict[str, Tensor]:
    """Fill the returned dictionary with module outputs, in float64, by their published names."""
    outputs: dict[str, Tensor] = {}

    def record(published: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            outputs[published] = output.double()

        return hook

    for ours, published in names.items():
        network.get_submodule(ours).register_forward_hook(record(published))
    return outputs


def check_encoder(case: Case) -> None:
    assert case.options["norm_E"] == "spectralinstance"
    encoder = ImageEncoder(ImageEncoder.Config(base_channels=case.options["ngf"]))
    case.prepare(encoder)
    with torch.no_grad():
        mu, logvar = encoder(case.image())
    case.output("out_mu", mu, INSTANCE_NORM_TOLERANCE)
    case.output("out_logvar", logvar, INSTANCE_NORM_TOLERANCE)


def spade_discriminator(options: dict[str, Any]) -> MultiscaleDiscriminator:
    """The discriminator of the SPADE reference's options."""
    return MultiscaleDiscriminator(
        MultiscaleDiscriminator.Config(
            num_labels=layout_of(options).num_labels,
            base_channels=options["ndf"],
            num_layers=options["n_layers_D"],
            num_scales=options["num_D"],
            norm=options["norm_D"].replace("sync_batch", "syncbatch"),
        )
    )


def check_discriminator(case: Case) -> None:
    compare_discriminator(case, spade_discriminator(case.options))


def compare_discriminator(
    case: Case, discriminator: MultiscaleDiscriminator, names: Names | None = None
) -> None:
    """Prediction maps, some features, and mean and deviation of all of them."""
    case.prepare(discriminator, names=names)
    with torch.no_grad():
        scales = discriminator(case.semantics().full, case.image())
    for i, layers in enumerate(scales):
        case.output(f"out_final_{i}", layers[-1], INSTANCE_NORM_TOLERANCE)
        some = f"out_feat_{i}_2_b0c0to3"
        if some in case.arrays:
            case.close(some, layers[2][0, :4], case.arrays[some], INSTANCE_NORM_TOLERANCE)
        expected = case.meta["features"][i]  # without intermediate features, the last map alone
        for j, (feature, known) in enumerate(zip(layers[-len(expected) :], expected, strict=True)):
            assert list(feature.shape) == known["shape"]
            values = feature.double()
            for statistic, value in (("mean", values.mean()), ("std", values.std(correction=0))):
                name = f"feature {i}.{j} {statistic}"
                case.close(name, value, known[statistic], INSTANCE_NORM_TOLERANCE)
