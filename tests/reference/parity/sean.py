# SPDX-License-Identifier: Apache-2.0
"""SEAN's layer, style encoder, generator and discriminator against the reference's numbers."""

import re
from collections.abc import Callable
from typing import Any

import torch
from parity.case import (
    DEVICE,
    INSTANCE_NORM_TOLERANCE,
    TOLERANCE,
    Case,
    layout_of,
    norm_options,
    on_device,
)
from parity.clade import GivenEdges, compare_on_noise
from parity.fill import draw
from torch import Tensor

from spade_eval.models.discriminators.multiscale import MultiscaleDiscriminator
from spade_eval.models.encoders.region_styles import RegionStyleEncoder
from spade_eval.models.generators.sean import SEANGenerator
from spade_eval.models.labels import SemanticLayout, Size
from spade_eval.models.layers.ace import ACE, NoiseAt, StyledMap
from spade_eval.models.semantics import SemanticMap


def _strided(image: Tensor, stored: Any) -> Tensor:
    stride = image.shape[-1] // stored.shape[-1]
    return image[:, :, ::stride, ::stride]


def _soft(hard: SemanticMap) -> SemanticMap:
    """The same map as floats, such as probabilities are."""
    return SemanticMap.from_tensor(hard.full)


def _labels(case: Case, num_labels: int) -> SemanticMap:
    return SemanticMap(case.tensor("label").long(), SemanticLayout(num_classes=num_labels))


def check_layer(case: Case) -> None:
    options = case.options
    made = norm_options(options["config"])
    layer = ACE(
        options["norm_nc"],
        options["semantic_nc"],
        styled=options["use_rgb"],
        style_channels=options["style_length"],
        param_free=made["param_free_norm"],
        kernel_size=made["spade_kernel_size"],
    )
    case.prepare(layer)
    semantics = _labels(case, options["semantic_nc"])
    shape = (semantics.batch_size, semantics.num_labels, options["style_length"])
    codes = torch.zeros(shape, device=DEVICE)
    if "style_codes" in case.arrays:
        codes = case.tensor("style_codes")
    x, noise = case.tensor("x"), case.tensor("noise")
    for name, map_ in (("out", semantics), ("out of a soft map", _soft(semantics))):
        y = layer(x, StyledMap.of(map_, codes, lambda layer, size: noise))
        case.close(name, y, case.arrays["out"], TOLERANCE)
    y = layer(x, StyledMap.of(semantics, codes, None))
    case.close("out_noise_off", y, case.arrays["out_noise_off"], TOLERANCE)


def check_encoder(case: Case) -> None:
    options = case.options
    assert (options["input_nc"], options["n_downsampling"]) == (3, 2), "what is published"
    encoder = RegionStyleEncoder(options["ngf"], options["output_nc"])
    case.prepare(encoder)
    num_labels = case.arrays["codes"].shape[1]
    for hard in (True, False):
        semantics = _labels(case, num_labels)
        with torch.no_grad():
            codes, present = encoder(
                case.image("image_u8"), semantics if hard else _soft(semantics)
            )
        name = "codes" if hard else "codes of a soft map"
        case.close(name, codes, case.arrays["codes"], INSTANCE_NORM_TOLERANCE)
        assert torch.equal(present, on_device(case.arrays["codes"] != 0).any(dim=2))


def _noise_of(case: Case) -> NoiseAt:
    """One field a resolution for every layer, by a rule `normal:TAG_HxW`."""
    tag = re.findall(r"'normal:(\w+)_HxW'", case.meta["noise_rule"])[0]

    def noise(layer: str, size: Size) -> Tensor:
        height, width = size
        return on_device(draw(f"normal:{tag}_{height}x{width}", (1, 1, height, width)))

    return noise


def check_generator(case: Case) -> None:
    """Of the generator: given codes without and with noise, and codes of a photo."""
    options, layout = case.options, layout_of(case.options)
    made = norm_options(options["norm_G"])
    network = SEANGenerator(
        SEANGenerator.Config(
            num_labels=layout.num_labels,
            base_channels=options["ngf"],
            upsampling=options["num_upsampling_layers"],
            class_means=False,
            **made,
        )
    )
    case.prepare(network)
    semantics = GivenEdges(case)
    codes = case.tensor("style_codes")
    with torch.no_grad():
        runs: dict[str, Callable[[], Tensor]] = {
            "out_codes": lambda: network(semantics, codes),
            "out_codes_noise": lambda: network(semantics, codes, _noise_of(case)),
            "out_image": lambda: network(
                semantics, network.styles(case.image("image_u8"), semantics)
            ),
        }
        for name, run in runs.items():
            stored = case.arrays[name]
            case.close(name, _strided(run(), stored), stored, TOLERANCE)
        stored = case.arrays["out_codes"]
        soft = _strided(network(_soft(semantics), codes), stored)
        case.close("out_codes of a soft map", soft, stored, TOLERANCE)


def check_discriminator(case: Case) -> None:
    """On normal numbers in place of map and image; every layer before the last halves its input."""
    options = case.options
    network = MultiscaleDiscriminator(
        MultiscaleDiscriminator.Config(
            num_labels=layout_of(options).num_labels,
            base_channels=options["ndf"],
            num_layers=options["n_layers_D"],
            num_scales=options["num_D"],
            norm=options["norm_D"].replace("sync_batch", "syncbatch"),
            last_stride=2,
        )
    )
    compare_on_noise(case, network)
