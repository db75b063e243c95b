# SPDX-License-Identifier: Apache-2.0
"""MUNIT's and UNIT's networks of one domain, and their discriminator with its least squares."""

import re
from typing import Any

import torch
from parity.case import INSTANCE_NORM_TOLERANCE, TOLERANCE, Case, on_device
from parity.fill import draw
from torch import Tensor

from spade_eval.models.discriminators.images import ImageDiscriminator
from spade_eval.models.generators.munit import MUNITGenerator
from spade_eval.models.generators.unit import UNITGenerator
from spade_eval.models.losses.gan import (
    discriminator_fake_loss,
    discriminator_real_loss,
    generator_loss,
)

# Sums over three scales of means of some hundred float32 squares.
_LOSS_TOLERANCE = 1e-5


def _sizes(options: dict[str, Any]) -> dict[str, Any]:
    assert (options["activ"], options["pad_type"]) == ("relu", "reflect")
    return {
        "num_labels": 1,
        "base_channels": options["dim"],
        "num_downsamplings": options["n_downsample"],
        "num_blocks": options["n_res"],
    }


def check_munit(case: Case) -> None:
    """Both encoders on one image, decoded with a given style and with its own."""
    options = case.options
    network = MUNITGenerator(
        MUNITGenerator.Config(
            **_sizes(options), z_dim=options["style_dim"], hidden_channels=options["mlp_dim"]
        )
    )
    case.prepare(network)
    image = case.image("image_u8")
    with torch.no_grad():
        content, style = network.content(image), network.style(image)
        given = network.decode(content, case.tensor("style").flatten(1))
        own = network.decode(content, style)
    some = case.arrays["content"]
    case.close("content", content[:, : some.shape[1]], some, INSTANCE_NORM_TOLERANCE)
    case.close("style_code", style[:, :, None, None], case.arrays["style_code"], TOLERANCE)
    case.close("image_given_style", given, case.arrays["image_given_style"], TOLERANCE)
    case.close("image_recon", own, case.arrays["image_recon"], TOLERANCE)


def check_unit(case: Case) -> None:
    """Encoder and decoder on one image, without noise."""
    network = UNITGenerator(UNITGenerator.Config(**_sizes(case.options)))
    case.prepare(network)
    with torch.no_grad():
        hidden = network.content(case.image("image_u8"))
        image = network.decoder(hidden)
    some = case.arrays["hidden"]
    case.close("hidden", hidden[:, : some.shape[1]], some, INSTANCE_NORM_TOLERANCE)
    case.close("image", image, case.arrays["image"], TOLERANCE)


def _images(case: Case) -> tuple[Tensor, Tensor]:
    """The normal numbers in the place of images of which `input_rule` tells."""
    rule = case.meta["input_rule"]
    fake, suffix = re.findall(r"'(normal:[^']*)'", rule)[0], re.findall(r"'\.\.\.([^']*)'", rule)[0]
    (sides,) = re.findall(r"standard_normal\(\(([\d, ]+)\)\)", rule)
    shape = tuple(map(int, sides.split(",")))
    names = (fake, f"normal:{suffix}")
    first, second = (on_device(draw(name, shape)) for name in names)
    return first, second


def check_discriminator(case: Case) -> None:
    options = case.options
    assert (options["norm"], options["activ"], options["gan_type"]) == ("none", "lrelu", "lsgan")
    network = ImageDiscriminator(
        ImageDiscriminator.Config(
            base_channels=options["dim"],
            num_layers=options["n_layer"],
            num_scales=options["num_scales"],
        )
    )
    case.prepare(network)
    fake, real = _images(case)
    with torch.no_grad():
        on_fake, on_real = network(fake), network(real)
    for scale, logits in enumerate(on_fake):
        case.close(f"out{scale}", logits, case.arrays[f"out{scale}"], TOLERANCE)
    judged = discriminator_fake_loss(on_fake, "lsgan", "sum")
    judged = judged + discriminator_real_loss(on_real, "lsgan", "sum")
    case.close("lsgan_dis_loss", judged, case.meta["lsgan_dis_loss"], _LOSS_TOLERANCE)
    made = generator_loss(on_fake, "lsgan", "sum")
    case.close("lsgan_gen_loss", made, case.meta["lsgan_gen_loss"], _LOSS_TOLERANCE)
