# SPDX-License-Identifier: Apache-2.0
"""Feature matching: L1 between the discriminator's features of synthesized and real images.

Wang et al., CVPR 2018, Eq. 4. Both papers average over scales and leave the prediction map out.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

Features = Sequence[Sequence[Tensor]]
"""Scales (full resolution first) of layers, the prediction map last."""


def spade_feature_matching(fake: Features, real: Features) -> Tensor:
    """The sum over layers of the mean absolute difference, averaged over scales."""
    terms = [
        F.l1_loss(fake_feature, real_feature.detach())
        for fake_scale, real_scale in zip(fake, real, strict=True)
        for fake_feature, real_feature in zip(fake_scale[:-1], real_scale[:-1], strict=True)
    ]
    return torch.stack(terms).sum() / len(fake)


def pix2pixhd_feature_matching(fake: Features, real: Features) -> Tensor:
    """The same, scaled by 4 / (number of feature layers): deeper discriminators weigh the same."""
    return spade_feature_matching(fake, real) * (4 / (len(fake[0]) - 1))
