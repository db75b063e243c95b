# SPDX-License-Identifier: Apache-2.0
"""Perceptual loss on VGG-19 features (Johnson et al. 2016; pix2pixHD and SPADE, Appendix A).

As in both published codes, images in [-1, 1] enter VGG without ImageNet normalisation. The
weights are torchvision's VGG-19 (ImageNet), given by the caller; nothing is downloaded.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from spade_eval.models.losses.vgg19 import CONV5_1, FrozenVGG19, vgg19_trunk

# relu1_1, relu2_1, relu3_1, relu4_1, relu5_1 by torchvision's positions, and their weights.
_TAPS = {1: 1 / 32, 6: 1 / 16, 11: 1 / 8, 20: 1 / 4, 29: 1.0}


class PerceptualLoss(FrozenVGG19):
    """Weighted L1 distance of five VGG-19 activations."""

    def __init__(self, vgg19: Mapping[str, Tensor]) -> None:
        """Take torchvision's state dict; entries beyond conv5_1 are not needed."""
        super().__init__(vgg19, vgg19_trunk(CONV5_1), tuple(_TAPS))

    def per_layer(self, fake: Tensor, real: Tensor) -> Tensor:
        """Return (5,) unweighted L1 distances; no gradient flows to `real`."""
        with torch.no_grad():
            targets = self.activations(real)
        pairs = zip(self.activations(fake), targets, strict=True)
        # In float32 under autocast: half precision has too few bits for means.
        return torch.stack([F.l1_loss(made.float(), target.float()) for made, target in pairs])

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        """Compare (N, 3, H, W) in [-1, 1] with another -> scalar."""
        distances = self.per_layer(fake, real)
        return (distances * distances.new_tensor(list(_TAPS.values()))).sum()
