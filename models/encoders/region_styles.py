# SPDX-License-Identifier: Apache-2.0
"""SEAN's style encoder, its average over the regions of a label map, and a mean for each class.

Zhu et al., CVPR 2020, Sec. 3 and Fig. 4: an hourglass of convolutions gives features at half the
resolution, whose mean over the pixels of a label is that label's style code.
"""

import torch
from torch import Tensor, nn

from spade_eval.models.semantics import SemanticMap


class RegionStyleEncoder(nn.Module):
    """Convolutions with instance norm; the last ends in tanh. Places are the published ones."""

    def __init__(self, base_channels: int = 32, style_channels: int = 512) -> None:
        super().__init__()
        base = base_channels
        self.model = nn.Sequential(
            nn.ReflectionPad2d(1), *_layer(nn.Conv2d(3, base, 3)),
            *_layer(nn.Conv2d(base, 2 * base, 3, stride=2, padding=1)),
            *_layer(nn.Conv2d(2 * base, 4 * base, 3, stride=2, padding=1)),
            *_layer(
                nn.ConvTranspose2d(4 * base, 8 * base, 3, stride=2, padding=1, output_padding=1)
            ),
            nn.ReflectionPad2d(1), nn.Conv2d(8 * base, style_channels, 3), nn.Tanh(),
        )  # fmt: skip

    def forward(self, photos: Tensor, semantics: SemanticMap) -> tuple[Tensor, Tensor]:
        """Encode (N, 3, H, W) in [-1, 1] with the photos' own label maps.

        Returns codes (N, num_labels, S), and (N, num_labels) bool: which labels the photo has at
        half its resolution. The codes of others are zero. Height and width are multiples of 4;
        `ValueError` for photos and maps of different sizes.
        """
        if (len(photos), tuple(photos.shape[-2:])) != (semantics.batch_size, semantics.size):
            raise ValueError(
                f"the style photos are {tuple(photos.shape)}, their label maps "
                f"{(semantics.batch_size, *semantics.size)}, expected equal numbers, heights and "
                "widths; resize the photos, or give the label maps that belong to them"
            )
        return region_means(self.model(photos), semantics)


def _layer(convolution: nn.Module) -> tuple[nn.Module, ...]:
    channels = convolution.out_channels
    assert isinstance(channels, int)
    return convolution, nn.InstanceNorm2d(channels), nn.LeakyReLU(0.2)


def region_means(features: Tensor, semantics: SemanticMap) -> tuple[Tensor, Tensor]:
    """Average (N, S, h, w) over the pixels of each label: (N, num_labels, S), and which are there.

    Every channel counts for itself, so a pixel on an instance edge belongs to its label, too.
    """
    # Sums over thousands of pixels: not in half floats.
    features = features.to(torch.promote_types(features.dtype, torch.float32))
    size = (features.shape[-2], features.shape[-1])
    masks = semantics.at(size).to(features.dtype)
    area = masks.sum(dim=(2, 3))
    sums = torch.einsum("nlhw,nshw->nls", masks, features)
    present = area > 0
    return sums / area.where(present, 1.0)[:, :, None], present


class ClassMeans(nn.Module):
    """The mean code of each label, over the images that have it, and how many these were."""

    codes: Tensor  # (num_labels, S)
    images: Tensor  # (num_labels,) int64

    def __init__(self, num_labels: int, style_channels: int) -> None:
        super().__init__()
        self.register_buffer("codes", torch.zeros(num_labels, style_channels))
        self.register_buffer("images", torch.zeros(num_labels, dtype=torch.int64))

    def set_of(self, sums: Tensor, images: Tensor) -> None:
        """Take sums of codes (num_labels, S) over so many images; labels without one get zeros."""
        self.codes.copy_(sums / images.clamp(min=1)[:, None])
        self.images.copy_(images)

    def absent(self) -> tuple[int, ...]:
        """Return the labels that no image had."""
        return tuple((self.images == 0).nonzero().flatten().tolist())

    def completed(self, codes: Tensor, present: Tensor) -> Tensor:
        """Put the mean in the place of each code (N, num_labels, S) that is not `present`."""
        return torch.where(present[:, :, None], codes, self.codes.to(codes.dtype))
