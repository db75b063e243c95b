# SPDX-License-Identifier: Apache-2.0
"""Adversarial losses on a list of prediction maps, one per discriminator scale.

Each map gives its mean; `reduction` says whether the scales are averaged (SPADE) or summed
(pix2pixHD). Hinge: Lim & Ye 2017, Miyato et al. 2018; LSGAN: Mao et al. 2017.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

GANMode = Literal["hinge", "lsgan", "original", "wasserstein"]
Reduction = Literal["mean", "sum"]


def _bce(logits: Tensor, target: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


# Per mode: the discriminator on real, the discriminator on fake, the generator on fake.
_LOSSES: dict[str, tuple[Callable[[Tensor], Tensor], ...]] = {
    "hinge": (
        lambda x: F.relu(1 - x).mean(),
        lambda x: F.relu(1 + x).mean(),
        lambda x: -x.mean(),
    ),
    "lsgan": (
        lambda x: (x - 1).square().mean(),
        lambda x: x.square().mean(),
        lambda x: (x - 1).square().mean(),
    ),
    "original": (
        lambda x: _bce(x, 1.0),
        lambda x: _bce(x, 0.0),
        lambda x: _bce(x, 1.0),
    ),
    "wasserstein": (
        lambda x: -x.mean(),
        lambda x: x.mean(),
        lambda x: -x.mean(),
    ),
}


def discriminator_real_loss(
    predictions: Sequence[Tensor], mode: GANMode, reduction: Reduction = "mean"
) -> Tensor:
    """The discriminator's loss on real images; predictions are logits (N, 1, h, w) per scale."""
    return _over_scales(predictions, _LOSSES[mode][0], reduction)


def discriminator_fake_loss(
    predictions: Sequence[Tensor], mode: GANMode, reduction: Reduction = "mean"
) -> Tensor:
    """The discriminator's loss on synthesized images."""
    return _over_scales(predictions, _LOSSES[mode][1], reduction)


def generator_loss(
    predictions: Sequence[Tensor], mode: GANMode, reduction: Reduction = "mean"
) -> Tensor:
    """The generator's loss; `predictions` are the discriminator's on synthesized images."""
    return _over_scales(predictions, _LOSSES[mode][2], reduction)


def _over_scales(
    predictions: Sequence[Tensor], loss: Callable[[Tensor], Tensor], reduction: Reduction
) -> Tensor:
    losses = torch.stack([loss(prediction) for prediction in predictions])
    return losses.mean() if reduction == "mean" else losses.sum()
