# SPDX-License-Identifier: Apache-2.0
"""Which network a perceptual loss looks through: the paper's VGG-19, or what stands in for it."""

from collections.abc import Callable
from pathlib import Path

from torch import Tensor, nn

from spade_eval.errors import UserError
from spade_eval.models.checkpoints.safe_load import load_tensors
from spade_eval.models.choices import PerceptualNetwork
from spade_eval.models.losses.perceptual import (
    LITE0_SHARES,
    EnlargedLite0,
    PerceptualLoss,
    lite0_loss,
    weights_of_shares,
)
from spade_eval.models.losses.vgg19 import ALL, vgg16_trunk, vgg19_trunk
from spade_eval.models.systems.base import System
from spade_eval.scoring.in_domain import SHIPPED, open_in_domain
from spade_eval.segmenters.in_domain import InDomainNetwork, InDomainSegmenter
from spade_eval.weights import LITE0, VGG16, VGG19, WeightFile, installed, is_installed

_FILES: dict[str, WeightFile] = {
    "vgg19": VGG19,
    "vgg16": VGG16,
    **dict.fromkeys(LITE0_SHARES, LITE0),
}
# The networks of the papers, each the one of some methods: parts that their losses look through.
_TRUNKS: dict[PerceptualNetwork, Callable[[], nn.Module]] = {
    "vgg19": lambda: vgg19_trunk(ALL),
    "vgg16": vgg16_trunk,
}
_OF_LITE0 = (
    "trained with EfficientNet-Lite0 in the place of VGG-19 in the perceptual loss, which so is "
    "not the paper's"
)
# What a row must never be shown without.
_NOTES: dict[str, str] = {
    "none": "trained without the perceptual loss",
    **{
        name: _OF_LITE0 if name == "lite0" else f"{_OF_LITE0}; blocks {', '.join(map(str, blocks))}"
        for name, blocks in LITE0_SHARES.items()
    },
    "in-domain": "trained with the in-domain segmenter in the place of VGG-19 in the perceptual "
    "loss: its own mIoU of these images is suspect",
}
# Mean L1 distance of the segmenter's maps between two different photos (`scenes`, 64x64).
_IN_DOMAIN_DISTANCES = (0.424, 0.391, 0.279)


def resolved(
    asked: PerceptualNetwork | None, system: type[System], dataset: str, weights_dir: Path
) -> PerceptualNetwork:
    """Return what a method's loss looks through here; None asks for the best that is there.

    `UserError` where the one that was asked for is missing.
    """
    if asked is None:
        if is_installed(_FILES[system.compares], weights_dir):
            return system.compares
        stands_in = system.takes_stand_in and is_installed(LITE0, weights_dir)
        return "lite0" if stands_in else "none"
    if asked in _TRUNKS and asked != system.compares:
        raise UserError(
            f"--perceptual {asked}: the loss of {system.name} is of {system.compares}; leave the "
            f"flag out, or choose {system.compares} or none"
        )
    if asked in _FILES:
        installed(_FILES[asked], weights_dir)
    if asked not in (system.compares, "none") and not system.takes_stand_in:
        return "none"
    if asked == "in-domain" and dataset not in SHIPPED:
        raise UserError(
            f"--perceptual in-domain needs the segmenter that ships for {', '.join(SHIPPED)}, but "
            f"the dataset is {dataset}; choose vgg19, lite0 or none"
        )
    return asked


def notes(network: PerceptualNetwork) -> tuple[str, ...]:
    """Say what the loss was that a row was trained with, where it is not the paper's."""
    return (_NOTES[network],) if network in _NOTES else ()


def measure_of(
    network: PerceptualNetwork, system: type[System], dataset: str, weights_dir: Path
) -> nn.Module | None:
    """Open the network; None for "none"."""
    if network == "none":
        return None
    if network == "in-domain":
        segmenter, _ = open_in_domain(SHIPPED[dataset])
        return _in_domain_loss(segmenter)
    weights = load_tensors(installed(_FILES[network], weights_dir))
    return system.measure(weights) if network in _TRUNKS else lite0_loss(weights, network)


def without_content(network: PerceptualNetwork, system: type[System]) -> nn.Module | None:
    """Build what `measure_of` opens, with first weights, in whatever mode is on."""
    if network in _TRUNKS:
        trunk = _TRUNKS[network]().state_dict()
        return system.measure({f"features.{name}": tensor for name, tensor in trunk.items()})
    if network in LITE0_SHARES:
        return lite0_loss(EnlargedLite0().state_dict(), network)
    if network == "in-domain":
        return _in_domain_loss(InDomainSegmenter(InDomainSegmenter.Config(num_classes=1)))
    return None


def _in_domain_loss(segmenter: InDomainNetwork) -> PerceptualLoss:
    equal = [1 / len(_IN_DOMAIN_DISTANCES)] * len(_IN_DOMAIN_DISTANCES)
    return PerceptualLoss(_Stages(segmenter), weights_of_shares(equal, _IN_DOMAIN_DISTANCES))


class _Stages(nn.Module):
    """What the in-domain segmenter's encoder makes of images, at three resolutions."""

    def __init__(self, segmenter: InDomainNetwork) -> None:
        super().__init__()
        self.segmenter = segmenter.requires_grad_(False).eval()

    def activations(self, images: Tensor) -> list[Tensor]:
        """Map (N, 3, H, W) in [-1, 1] -> maps at 1/2, 1/4 and 1/8, finest first."""
        return list(self.segmenter.encode((images + 1) / 2))
