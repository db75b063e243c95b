# SPDX-License-Identifier: Apache-2.0
"""pix2pix's U-Net, CycleGAN's ResNet and their patch discriminator against reference numbers."""

import torch
from parity.case import INSTANCE_NORM_TOLERANCE, TOLERANCE, Case
from torch import Tensor, nn

from spade_eval.models.colours import written_palette
from spade_eval.models.discriminators.patch import PatchGANDiscriminator
from spade_eval.models.generators.resnet import ResNetGenerator
from spade_eval.models.generators.unet import UNetGenerator
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.semantics import SemanticMap

_TOLERANCES = {"batch": TOLERANCE, "instance": INSTANCE_NORM_TOLERANCE}


def _input(case: Case) -> tuple[SemanticMap, str]:
    """A label map and its palette, or an image in the place of a map and none."""
    if "image_u8" in case.arrays:
        return SemanticMap.from_tensor(case.image("image_u8")), ""
    colours = [tuple(map(int, colour)) for colour in case.arrays["palette"]]
    palette = written_palette(colours, len(colours), unlabelled_first=False)  # type: ignore[arg-type]
    layout = SemanticLayout(num_classes=len(colours))
    return SemanticMap(case.tensor("label").long(), layout), palette


def _compare(case: Case, name: str, image: Tensor, tolerance: float) -> None:
    """With the pixels that the file holds, evenly spaced."""
    stored = case.arrays[name]
    stride = image.shape[-1] // stored.shape[-1]
    case.close(name, image[:, :, ::stride, ::stride], stored, tolerance)


def check_unet(case: Case) -> None:
    """By running statistics, by those of the image, and without dropout either way."""
    options, (semantics, palette) = case.options, _input(case)
    assert options["output_nc"] == 3, "images are RGB"
    network = UNetGenerator(
        UNetGenerator.Config(
            num_labels=semantics.num_labels,
            palette=palette,
            base_channels=options["ngf"],
            num_downsamplings=options["num_downs"],
            norm=options["norm"],
        )
    )
    assert network.config.in_channels == options["input_nc"]
    case.prepare(network)
    with torch.no_grad():
        image = network(semantics)
        _compare(case, "image", image, _TOLERANCES[options["norm"]])
        if "image_batchstat" in case.arrays:
            # The notes on the reference data: 1e-4 for statistics of a single image.
            of_image = network(semantics, of_image=True)
            _compare(case, "image_batchstat", of_image, INSTANCE_NORM_TOLERANCE)
            if semantics.batch_size == 1:  # then the training mode's statistics are the image's
                trained = network.train()(semantics)
                _compare(case, "image_batchstat", trained, INSTANCE_NORM_TOLERANCE)
    if "image_mean_std_maxabs" in case.meta:
        values = image.double()
        moments = torch.stack([values.mean(), values.std(correction=0), values.abs().max()])
        case.close("moments", moments, case.meta["image_mean_std_maxabs"], TOLERANCE)


def check_resnet(case: Case) -> None:
    options, (semantics, palette) = case.options, _input(case)
    assert (options["input_nc"], options["output_nc"]) == (3, 3), "images are RGB"
    assert (options["norm"], options.get("padding", "reflect")) == ("instance", "reflect")
    network: nn.Module = ResNetGenerator(
        ResNetGenerator.Config(
            num_labels=semantics.num_labels,
            palette=palette,
            base_channels=options["ngf"],
            num_blocks=options["n_blocks"],
        )
    )
    case.prepare(network)
    with torch.no_grad():
        _compare(case, "image", network(semantics), INSTANCE_NORM_TOLERANCE)


def check_discriminator(case: Case) -> None:
    options = case.options
    network = PatchGANDiscriminator(
        PatchGANDiscriminator.Config(
            num_channels=options["input_nc"],
            base_channels=options["ndf"],
            num_layers=options["n_layers"],
            norm=options["norm"],
        )
    )
    case.prepare(network)
    with torch.no_grad():
        logits = network(case.normal_input())
    _compare(case, "logits", logits, _TOLERANCES[options["norm"]])
