# SPDX-License-Identifier: Apache-2.0
"""Losses on what a discriminator of several scales gives: adversarial, and feature matching.

Adversarial: each scale's prediction map gives its mean; `reduction` says whether the scales are
averaged (SPADE) or summed (pix2pixHD). Hinge: Lim & Ye 2017, Miyato et al. 2018; LSGAN: Mao et al.
2017. Feature matching, L1 between features of synthesized and real images: Wang et al. 2018, Eq. 4.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

GANMode = Literal["hinge", "lsgan", "original", "wasserstein"]
Reduction = Literal["mean", "sum"]
Features = Sequence[Sequence[Tensor]]
"""Scales (full resolution first) of layers, the prediction map last."""


def whole_floats(values: Tensor) -> Tensor:
    """Return float32 of half floats, others as they are: losses need more bits than those have."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


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
    """Compute the discriminator's loss on real images from (N, 1, h, w) logits per scale."""
    return _over_scales(predictions, _LOSSES[mode][0], reduction)


def discriminator_fake_loss(
    predictions: Sequence[Tensor], mode: GANMode, reduction: Reduction = "mean"
) -> Tensor:
    """Compute the discriminator's loss on synthesized images."""
    return _over_scales(predictions, _LOSSES[mode][1], reduction)


def generator_loss(
    predictions: Sequence[Tensor], mode: GANMode, reduction: Reduction = "mean"
) -> Tensor:
    """Compute the generator's loss from the discriminator's logits on synthesized images."""
    return _over_scales(predictions, _LOSSES[mode][2], reduction)


def _over_scales(
    predictions: Sequence[Tensor], loss: Callable[[Tensor], Tensor], reduction: Reduction
) -> Tensor:
    losses = torch.stack([loss(prediction) for prediction in predictions])
    return losses.mean() if reduction == "mean" else losses.sum()


def spade_feature_matching(fake: Features, real: Features) -> Tensor:
    """Sum the mean absolute differences over layers, and average over scales.

    The prediction map takes no part.
    """
    terms = [
        F.l1_loss(fake_feature, real_feature.detach())
        for fake_scale, real_scale in zip(fake, real, strict=True)
        for fake_feature, real_feature in zip(fake_scale[:-1], real_scale[:-1], strict=True)
    ]
    return torch.stack(terms).sum() / len(fake)  # Wang et al., Eq. 4


def pix2pixhd_feature_matching(fake: Features, real: Features) -> Tensor:
    """Scale the same by 4 / (number of feature layers): deeper discriminators weigh the same."""
    return spade_feature_matching(fake, real) * (4 / (len(fake[0]) - 1))
