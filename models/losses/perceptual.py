# SPDX-License-Identifier: Apache-2.0
"""Perceptual losses: L1 distances of what a frozen network makes of two images.

`vgg19_loss` is that of Johnson et al. (2016) as pix2pixHD and SPADE use it (SPADE, Appendix A): as
in both published codes, images in [-1, 1] enter VGG-19 without ImageNet normalisation. The others
stand in where its weights are not there, each under its own name; none of them is the papers' loss.
Weights are given by the caller; nothing is downloaded.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.models.losses.efficientnet_lite0 import EfficientNetLite0
from spade_eval.models.losses.vgg19 import CONV5_1, FrozenVGG19, vgg19_trunk

# relu1_1, relu2_1, relu3_1, relu4_1, relu5_1 by torchvision's positions, and their weights.
_VGG19_TAPS = {1: 1 / 32, 6: 1 / 16, 11: 1 / 8, 20: 1 / 4, 29: 1.0}

# In published logs of SPADE on COCO-Stuff the VGG-19 term, ten times the loss, is 7 to 15, mostly
# 11, beside 8 to 16 of feature matching (github.com/NVlabs/SPADE, issues 38 and 94). By a stand-in,
# two different photos are as far from each other.
OF_DIFFERENT_PHOTOS = 1.1
# Blocks of EfficientNet-Lite0, from the finest resolution to the last, and the mean L1 distance of
# their outputs between two different photos (`scenes`, 64x64, enlarged twice).
_LITE0_BLOCKS = {0: 5.01, 2: 7.67, 4: 7.16, 10: 5.90, 15: 2.22}
# How much each block has of the distance of two different photos, by the loss's name; "rising" as
# VGG-19's weights. The first was chosen against the others in the pilot of docs/ablations.md.
LITE0_SHARES: dict[str, dict[int, float]] = {
    "lite0": dict.fromkeys(_LITE0_BLOCKS, 1 / 5),
    "lite0-fine": dict.fromkeys((0, 2, 4), 1 / 3),
    "lite0-coarse": dict.fromkeys((10, 15), 1 / 2),
    "lite0-rising": {
        block: 2**rank / 31 for rank, block in enumerate(_LITE0_BLOCKS)
    },  # as VGG-19's
}
_ENLARGED = 2.0


class Activations(Protocol):
    """A frozen network of which some activations are compared."""

    def activations(self, images: Tensor) -> Sequence[Tensor]:
        """Map (N, 3, H, W) in [-1, 1] -> activations, finest first."""
        ...


class PerceptualLoss(nn.Module):
    """Weighted L1 distance of a frozen network's activations."""

    def __init__(self, network: Activations, weights: Sequence[float]) -> None:
        super().__init__()
        self.network, self.weights = network, tuple(weights)

    def train(self, mode: bool = True) -> "PerceptualLoss":
        """Stay in eval mode."""
        return super().train(False)

    def per_layer(self, fake: Tensor, real: Tensor) -> Tensor:
        """Return unweighted L1 distances, one a layer; no gradient flows to `real`."""
        with torch.no_grad():
            targets = self.network.activations(real)
        pairs = zip(self.network.activations(fake), targets, strict=True)
        # In float32 under autocast: half precision has too few bits for means.
        return torch.stack([F.l1_loss(made.float(), target.float()) for made, target in pairs])

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        """Compare (N, 3, H, W) in [-1, 1] with another -> scalar."""
        distances = self.per_layer(fake, real)
        return (distances * distances.new_tensor(self.weights)).sum()


def vgg19_loss(vgg19: Mapping[str, Tensor]) -> PerceptualLoss:
    """Take torchvision's state dict; entries beyond conv5_1 are not needed."""
    network = FrozenVGG19(vgg19, vgg19_trunk(CONV5_1), tuple(_VGG19_TAPS))
    return PerceptualLoss(network, tuple(_VGG19_TAPS.values()))


def lite0_loss(weights: Mapping[str, Tensor], name: str = "lite0") -> PerceptualLoss:
    """Take the state dict of EfficientNet-Lite0, and a name of `LITE0_SHARES`."""
    shares = LITE0_SHARES[name]
    network = EnlargedLite0(tuple(shares))
    network.load(weights)
    distances = [_LITE0_BLOCKS[block] for block in shares]
    return PerceptualLoss(network, weights_of_shares(tuple(shares.values()), distances))


def weights_of_shares(shares: Sequence[float], distances: Sequence[float]) -> tuple[float, ...]:
    """Weigh layers so that each has its share of the distance of two different photos."""
    pairs = zip(shares, distances, strict=True)
    return tuple(OF_DIFFERENT_PHOTOS * share / distance for share, distance in pairs)


class EnlargedLite0(EfficientNetLite0):
    """Blocks of EfficientNet-Lite0 on images twice as large.

    At their own size its first convolution, of stride 2, lets a checkerboard pass unseen.
    """

    def __init__(self, compared: Sequence[int] = (*_LITE0_BLOCKS,)) -> None:
        super().__init__()
        self._compared = tuple(compared)

    def activations(self, images: Tensor, blocks: Sequence[int] | None = None) -> list[Tensor]:
        """Map (N, 3, H, W) in [-1, 1] -> the outputs of the compared blocks, finest first."""
        large = F.interpolate(images, scale_factor=_ENLARGED, mode="bilinear", align_corners=False)
        return super().activations(large, blocks or self._compared)
