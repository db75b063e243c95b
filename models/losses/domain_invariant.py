# SPDX-License-Identifier: Apache-2.0
"""MUNIT's perceptual loss, which keeps what an image shows and forgets how its domain looks.

Huang et al., ECCV 2018, Sec. 5.1: features of VGG-16 after an instance norm, which takes out means
and deviations, the part of features that tells domains apart. The weights are those of the
network's authors (Caffe), which read blue, green and red from 0 to 255 less their means.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.models.losses.vgg19 import FrozenVGG, vgg16_trunk

_RELU5_3 = 29
# Mean blue, green and red of ImageNet's photos, 0 to 255.
_MEAN = (103.939, 116.779, 123.680)


class FrozenVGG16(FrozenVGG):
    """VGG-16 with the weights of its authors."""

    name = "VGG-16"
    source = "vgg16-00b39a1b.pth (see `spade-eval weights list vgg16`)"


class DomainInvariantLoss(nn.Module):
    """Mean squared difference of normalised features of two images."""

    def __init__(self, vgg16: Mapping[str, Tensor]) -> None:
        """Take a state dict with torchvision's names; entries beyond conv5_3 are not needed."""
        super().__init__()
        self.network = FrozenVGG16(vgg16, vgg16_trunk(), (_RELU5_3,))

    def train(self, mode: bool = True) -> "DomainInvariantLoss":
        """Stay in eval mode."""
        return super().train(False)

    def forward(self, translated: Tensor, source: Tensor) -> Tensor:
        """Compare (N, 3, H, W) in [-1, 1] with another -> scalar; no gradient to `source`."""
        with torch.no_grad():
            target = self._features(source)
        return F.mse_loss(self._features(translated), target)

    def _features(self, images: Tensor) -> Tensor:
        (activation,) = self.network.activations(centred(images))
        # In float32 under autocast: half precision has too few bits for means.
        whole = activation.to(torch.promote_types(activation.dtype, torch.float32))
        return F.instance_norm(whole)


def centred(images: Tensor) -> Tensor:
    """Map (N, 3, H, W) in [-1, 1], RGB -> BGR from 0 to 255 less ImageNet's mean."""
    return (images.flip(1) + 1) * 127.5 - images.new_tensor(_MEAN).view(3, 1, 1)
