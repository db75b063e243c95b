# SPDX-License-Identifier: Apache-2.0
"""A small U-Net that this suite trains on a dataset's own photos and label maps.

It scores datasets that have no official segmenter. Its scores are called in-domain and never stand
in one column with a paper's: the shape is that of U-Net (Ronneberger et al., MICCAI 2015), narrow
enough for the weights to ship with the suite (under 1 MB) and for two CPU cores. What it has in
common with the other in-domain networks, which check its verdicts, is `InDomainNetwork`.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class InDomainConfig:
    """What an in-domain network is built for."""

    num_classes: int
    base_channels: int = 24
    # Shorter side at which the network sees an image; larger images are seen as they are.
    # One scale for all sizes lets the same weights score 64x64 and 128x128 images.
    short_side: int = 128


class InDomainNetwork(nn.Module):
    """Image in [0, 1] to logits at the image's size, by maps that an encoder makes on the way."""

    mean: Tensor
    std: Tensor
    title: str  # in tables
    # Channels of the two coarsest maps of `encode`, whose means are features of an image.
    feature_dim: int

    def __init__(self, config: InDomainConfig) -> None:
        super().__init__()
        self.config = config
        self.num_classes = config.num_classes
        self.register_buffer("mean", torch.full((1, 3, 1, 1), 0.5))
        self.register_buffer("std", torch.full((1, 3, 1, 1), 0.25))

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, 3, H, W) in [0, 1] -> (N, num_classes, H, W) logits."""
        return self.decode(images, self.encode(images))

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return maps of the images, the finest first."""
        raise NotImplementedError

    def decode(self, images: Tensor, maps: Any) -> Tensor:
        """Compute logits from what `encode` made of the images."""
        raise NotImplementedError

    def normalised(self, images: Tensor) -> Tensor:
        """Resize images to the size at which the network sees them, and standardise."""
        images = F.interpolate(
            images, size=self._seen_size(images), mode="bilinear", align_corners=False
        )
        return (images - self.mean) / self.std

    def _seen_size(self, images: Tensor) -> list[int]:
        """Round both sides to even numbers, the shorter one at least `short_side`."""
        scale = max(1.0, self.config.short_side / min(images.shape[-2:]))
        return [2 * round(side * scale / 2) for side in images.shape[-2:]]


class InDomainSegmenter(InDomainNetwork):
    """The U-Net."""

    title = "in-domain U-Net"
    Config = InDomainConfig

    def __init__(self, config: InDomainConfig) -> None:
        super().__init__(config)
        width = config.base_channels
        self.feature_dim = 5 * width
        # Both ends fold 2x2 pixels into channels: full-size maps would cost most of the time.
        self.down_2 = nn.Sequential(nn.PixelUnshuffle(2), _block(12, width), _block(width, width))
        self.down_4 = nn.Sequential(
            _block(width, 2 * width, stride=2), _block(2 * width, 2 * width)
        )
        self.down_8 = nn.Sequential(
            _block(2 * width, 3 * width, stride=2), _block(3 * width, 3 * width, dilation=2)
        )
        # What kind of place the whole picture shows tells sea from sky.
        self.context = nn.Linear(3 * width, 3 * width)
        self.up_4 = _block(5 * width, 2 * width)
        self.up_2 = _block(3 * width, width)
        self.classify = nn.Sequential(
            nn.Conv2d(width, 4 * config.num_classes, kernel_size=1), nn.PixelShuffle(2)
        )

    def decode(self, images: Tensor, maps: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Compute logits from what `encode` made of the images."""
        half, quarter, eighth = maps
        x = self.up_4(torch.cat([resized(eighth, quarter), quarter], dim=1))
        x = self.up_2(torch.cat([resized(x, half), half], dim=1))
        return resized(self.classify(x), images)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return maps at 1/2, 1/4 and 1/8 of the size at which the network sees the images."""
        half = self.down_2(self.normalised(images))
        quarter = self.down_4(half)
        eighth = self.down_8(quarter)
        context = self.context(eighth.mean(dim=(2, 3)))[:, :, None, None]
        return half, quarter, F.relu(eighth + context)


class InDomainFeatures(nn.Module):
    """What a distance between image sets compares where Inception weights are absent."""

    def __init__(self, segmenter: InDomainNetwork) -> None:
        super().__init__()
        self.segmenter = segmenter
        self.feature_dim = segmenter.feature_dim

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, 3, H, W) in [0, 1] -> (N, feature_dim): means of the two coarsest maps."""
        return _means(self.segmenter.encode(images))


def logits_and_features(segmenter: InDomainNetwork, images: Tensor) -> tuple[Tensor, Tensor]:
    """Compute logits and `InDomainFeatures` from one encoding: the bits of both apart."""
    maps = segmenter.encode(images)
    return segmenter.decode(images, maps), _means(maps)


def _means(maps: tuple[Tensor, ...]) -> Tensor:
    """Average the two coarsest maps of `encode` -> (N, feature_dim)."""
    quarter, eighth = maps[-2:]
    return torch.cat([eighth.mean(dim=(2, 3)), quarter.mean(dim=(2, 3))], dim=1)


def _block(channels_in: int, channels_out: int, stride: int = 1, dilation: int = 1) -> nn.Module:
    convolution = nn.Conv2d(
        channels_in,
        channels_out,
        kernel_size=3,
        stride=stride,
        padding=dilation,
        dilation=dilation,
        bias=False,
    )
    return nn.Sequential(convolution, nn.BatchNorm2d(channels_out), nn.ReLU(inplace=True))


def resized(x: Tensor, like: Tensor) -> Tensor:
    """Resize maps bilinearly to the height and width of others."""
    if x.shape[-2:] == like.shape[-2:]:
        return x
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)
