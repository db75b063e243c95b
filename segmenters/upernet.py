# SPDX-License-Identifier: Apache-2.0
"""UperNet on a ResNet-101: the segmenter for ADE20K (150 classes).

Xiao et al., "Unified Perceptual Parsing for Scene Understanding", ECCV 2018, in the form of
CSAILVision/semantic-segmentation-pytorch. Two sets of weights were released, with equal names and
shapes but different inputs; with the other's input nothing fails and the score drops:

- "legacy" (`baseline-resnet101-upernet`, until 2019): BGR on 0..255 minus a mean, images resized by
  OpenCV; the one that papers of 2019 can have used;
- "current" (`ade20k-resnet101-upernet`): RGB, standardized, images resized by Pillow.

The decoder is not mmsegmentation's, which resizes the pooled maps after the relu, not before the
convolution.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.models.labels import Size
from spade_eval.segmenters.eight_bit import (
    ByteNormalization,
    minus_mean,
    resize_opencv,
    resize_pillow,
    standardized,
    to_bytes,
)
from spade_eval.segmenters.resnet import conv_norm_relu, stage

LEGACY_MEAN_BGR = (102.9801, 115.9465, 122.7717)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MULTI_SCALE = (300, 375, 450, 525, 600)
_MAX_SIDE = 1000
_SIDE_MULTIPLE = 32
_POOL_SIZES = (1, 2, 3, 6)


class UperNet(nn.Module):
    """Image in [0, 1] to class probabilities at the image's size, averaged over input sizes."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        release: Literal["legacy", "current"]
        # Shorter sides of the inputs; one number is a single-scale evaluation.
        short_sides: tuple[int, ...] = MULTI_SCALE
        num_classes: int = 150
        blocks: tuple[int, int, int, int] = (3, 4, 23, 3)
        base_channels: int = 64
        decoder_channels: int = 512

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.num_classes = config.num_classes
        if config.release == "legacy":
            self.normalization = ByteNormalization(
                minus_mean(LEGACY_MEAN_BGR, torch.float32), bgr=True
            )
        else:
            self.normalization = ByteNormalization(standardized(MEAN, STD))
        self.encoder = Encoder(config.base_channels, config.blocks)
        widths = [4 * config.base_channels * 2**i for i in range(4)]
        self.decoder = Decoder(widths, config.decoder_channels, config.num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, 3, H, W) in [0, 1], 8-bit levels -> (N, num_classes, H, W) probabilities."""
        pixels = to_bytes(images)
        probabilities = torch.zeros((), device=images.device)
        for short_side in self.config.short_sides:
            logits = self.decoder(self.encoder(self.network_input(pixels, short_side)))
            scaled = _resize(logits, images).softmax(dim=1)
            probabilities = scaled.div_(len(self.config.short_sides)).add_(probabilities)
        return probabilities

    def network_input(self, pixels: Tensor, short_side: int) -> Tensor:
        """Resize and normalise (N, 3, H, W) uint8."""
        height, width = pixels.shape[-2:]
        size = input_size((height, width), short_side)
        if self.config.release == "legacy":
            pixels = resize_opencv(pixels, size)
        else:
            pixels = resize_pillow(pixels, size, "bilinear")
        y: Tensor = self.normalization(pixels)
        return y


def input_size(size: Size, short_side: int) -> Size:
    """Scale the shorter side to `short_side`, the longer to at most 1000.

    Both are then rounded up to a multiple of 32.
    """
    scale = min(short_side / min(size), _MAX_SIDE / max(size))
    height, width = (-(-int(side * scale) // _SIDE_MULTIPLE) * _SIDE_MULTIPLE for side in size)
    return height, width


class Encoder(nn.Module):
    """ResNet with a stem of three 3x3 convolutions, twice the usual width at its end."""

    norms_after = (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"))

    def __init__(self, base_channels: int, blocks: Sequence[int]) -> None:
        super().__init__()
        widths = (base_channels, base_channels, 2 * base_channels)
        in_channels = 3
        for number, channels in enumerate(widths, start=1):
            convolution = nn.Conv2d(
                in_channels, channels, 3, 2 if number == 1 else 1, padding=1, bias=False
            )
            self.add_module(f"conv{number}", convolution)
            self.add_module(f"bn{number}", nn.BatchNorm2d(channels))
            in_channels = channels
        for index, count in enumerate(blocks):
            channels = base_channels * 2**index
            self.add_module(
                f"layer{index + 1}",
                stage(in_channels, channels, count, stride=1 if index == 0 else 2),
            )
            in_channels = 4 * channels

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map (N, 3, H, W) -> maps of the four stages at 1/4, 1/8, 1/16 and 1/32."""
        for number in (1, 2, 3):
            convolution = self.get_submodule(f"conv{number}")
            x = F.relu_(self.get_submodule(f"bn{number}")(convolution(x)))
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        maps = []
        for number in (1, 2, 3, 4):
            x = self.get_submodule(f"layer{number}")(x)
            maps.append(x)
        return maps


class Decoder(nn.Module):
    """Pooling pyramid on the last stage, top-down pathway, fusion of all four levels."""

    def __init__(self, in_channels: Sequence[int], channels: int, num_classes: int) -> None:
        super().__init__()
        deepest = in_channels[-1]
        self.ppm_conv = nn.ModuleList(conv_norm_relu(deepest, channels, 1) for _ in _POOL_SIZES)
        self.ppm_last_conv = conv_norm_relu(deepest + len(_POOL_SIZES) * channels, channels, 3)
        self.fpn_in = nn.ModuleList(conv_norm_relu(w, channels, 1) for w in in_channels[:-1])
        self.fpn_out = nn.ModuleList(
            nn.Sequential(conv_norm_relu(channels, channels, 3)) for _ in in_channels[:-1]
        )
        self.conv_last = nn.Sequential(
            conv_norm_relu(len(in_channels) * channels, channels, 3),
            nn.Conv2d(channels, num_classes, 1),
        )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Map four stages' maps -> (N, num_classes, H / 4, W / 4) logits."""
        top_down = self._pyramid(maps[-1])
        levels = [top_down]
        for index in (2, 1, 0):
            lateral = self.fpn_in[index](maps[index])
            # The sum goes on downwards as it is; only the level's output is convolved.
            top_down = lateral + _resize(top_down, lateral)
            levels.insert(0, self.fpn_out[index](top_down))
        fused = [levels[0], *(_resize(level, levels[0]) for level in levels[1:])]
        logits: Tensor = self.conv_last(torch.cat(fused, dim=1))
        return logits

    def _pyramid(self, x: Tensor) -> Tensor:
        pooled = [
            convolution(_resize(F.adaptive_avg_pool2d(x, side), x))
            for convolution, side in zip(self.ppm_conv, _POOL_SIZES, strict=True)
        ]
        y: Tensor = self.ppm_last_conv(torch.cat([x, *pooled], dim=1))
        return y


def _resize(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)
