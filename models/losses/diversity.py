# SPDX-License-Identifier: Apache-2.0
"""The loss of CRN: features of several images against one photo's, by class.

Chen & Koltun, ICCV 2017, Eq. 1 (feature matching) and Sec. 4 (diversity). For every class the best
of the images counts, so that each class of a photo has some image that comes near it.
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.models.losses.vgg19 import CONV5_2, FrozenVGG19, vgg19_trunk

# After relu1_2, relu2_2, relu3_2, relu4_2 and relu5_2; positions are torchvision's.
_TAPS = (3, 8, 13, 22, 31)
# Mean red, green and blue of ImageNet's photos, 0 to 255.
_MEAN = (123.68, 116.779, 103.939)
BEST, MEAN = 0.999, 0.001
"""Shares of the best image of each class and of the mean over images (the released code's)."""


class AveragePooledVGG19(FrozenVGG19):
    """VGG-19 with average pooling, which reads images from 0 to 255 less the mean."""

    def __init__(self, vgg19: Mapping[str, Tensor]) -> None:
        """Take torchvision's state dict; entries beyond conv5_2 are not needed."""
        layers = (
            nn.AvgPool2d(2) if isinstance(layer, nn.MaxPool2d) else layer
            for layer in vgg19_trunk(CONV5_2)
        )
        super().__init__(vgg19, nn.Sequential(*layers), _TAPS)


def centred(image: Tensor) -> Tensor:
    """Map (..., 3, H, W) in [-1, 1] -> 0 to 255 less ImageNet's mean."""
    return (image + 1) / 2 * 255 - image.new_tensor(_MEAN).view(3, 1, 1)


def errors(photo: Tensor, images: Tensor, labels: Tensor) -> Tensor:
    """Compute E[n, k, c] = mean over pixels of label_c * (mean over channels of |difference|).

    Features of photos (N, C, h, w) and of K images each (N, K, C, h, w), label maps (N, L, H, W),
    which are averaged down to (h, w) -> (N, K, L).
    """
    differences = (images - photo[:, None]).abs().mean(dim=2)  # (N, K, h, w)
    height, width = differences.shape[-2:]
    labels = F.adaptive_avg_pool2d(labels, (height, width))
    return torch.einsum("nkhw,nlhw->nkl", differences, labels) / (height * width)  # Eq. 1


def diversity_terms(table: Tensor) -> dict[str, Tensor]:
    """Return weighted terms of the loss from the table of errors (N, K, L); means over photos."""
    return {
        "best": BEST * table.amin(dim=1).sum(dim=1).mean(),
        "mean": MEAN * table.mean(dim=1).sum(dim=1).mean(),
    }


def error_table(
    network: AveragePooledVGG19 | None,
    photos: Tensor,
    images: Tensor,
    labels: Tensor,
    weights: Sequence[float],
) -> Tensor:
    """Compute the (N, K, L) errors of the pixels and, with a network, of its five features.

    Photos (N, 3, H, W) and images (N, K, 3, H, W) in [-1, 1]; `weights` of the six, pixels first.
    """
    real, fake = centred(photos), centred(images)
    table = weights[0] * errors(real, fake, labels)
    if network is None:
        return table
    with torch.no_grad():
        targets = network.activations(real)
    count = images.shape[:2]
    for weight, target, activation in zip(
        weights[1:], targets, network.activations(fake.flatten(0, 1)), strict=True
    ):
        # In float32 under autocast: half precision has too few bits for means.
        pair = (target.float(), activation.float().unflatten(0, count))
        table = table + weight * errors(*pair, labels)
    return table
