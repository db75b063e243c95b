# SPDX-License-Identifier: Apache-2.0
"""DRN-D-105, a dilated residual network: the segmenter for Cityscapes (19 train ids).

Yu, Koltun, Funkhouser, "Dilated Residual Networks", CVPR 2017, in the form of fyu/drn. Modules are
named as in its weight files.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.models.labels import Size
from spade_eval.segmenters.eight_bit import ByteNormalization, resize_pillow, standardized, to_bytes
from spade_eval.segmenters.resnet import EXPANSION, conv_norm_relu, stage

MEAN = (0.29010095242892997, 0.32808144844279574, 0.28696394422942517)
STD = (0.1829540508368939, 0.18656561047509476, 0.18447508988480435)
_STRIDE = 8


class DRN(nn.Module):
    """Image in [0, 1] to log-probabilities at the image's size, summed over input scales."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        # Inputs besides the full one; () is the single-scale evaluation.
        scales: tuple[float, ...] = ()
        num_classes: int = 19
        blocks: tuple[int, int, int, int] = (3, 4, 23, 3)
        base_channels: int = 16

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.num_classes = config.num_classes
        self.normalization = ByteNormalization(standardized(MEAN, STD))
        self.base = _trunk(config.base_channels, config.blocks)
        self.seg = nn.Conv2d(32 * config.base_channels, config.num_classes, 1)
        self.up = nn.ConvTranspose2d(
            config.num_classes,
            config.num_classes,
            2 * _STRIDE,
            stride=_STRIDE,
            padding=_STRIDE // 2,
            groups=config.num_classes,
            bias=False,
        )
        # The kernel is fixed, yet files hold it.
        with torch.no_grad():
            self.up.weight.copy_(bilinear_kernel().to(self.up.weight.device))

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, 3, H, W) in [0, 1], 8-bit levels -> (N, num_classes, H, W) log-probabilities.

        With scales it is the sum of those of the full and the scaled images. The published script
        neither crops nor pads, so a single scale needs height and width in multiples of 8.
        """
        size = height, width = (images.shape[-2], images.shape[-1])
        if not self.config.scales and (height % _STRIDE or width % _STRIDE):
            raise ValueError(
                f"images are {height}x{width}, expected multiples of {_STRIDE} as in Cityscapes; "
                "resize the images, or use the multi-scale evaluation"
            )
        pixels = to_bytes(images)
        total = torch.zeros((), device=images.device)
        for scale in (1.0, *self.config.scales):
            output = self.log_probabilities(self.network_input(pixels, scale))
            total = total + resize_float(output, size)
        return total

    def network_input(self, pixels: Tensor, scale: float = 1.0) -> Tensor:
        """Resize (N, 3, H, W) uint8 by Pillow, unless the scale is 1, and normalise."""
        if scale != 1:
            height, width = pixels.shape[-2:]
            pixels = resize_pillow(pixels, (int(height * scale), int(width * scale)), "bicubic")
        y: Tensor = self.normalization(pixels)
        return y

    def scores(self, x: Tensor) -> Tensor:
        """Map normalised images -> (N, num_classes, ceil(H / 8), ceil(W / 8)) logits."""
        logits: Tensor = self.seg(self.base(x))
        return logits

    def log_probabilities(self, x: Tensor) -> Tensor:
        """Map normalised images -> (N, num_classes, 8 ceil(H / 8), 8 ceil(W / 8))."""
        return self.up(self.scores(x)).log_softmax(dim=1)


def bilinear_kernel() -> Tensor:
    """Return the (16, 16) kernel that enlarges by 8 with linear interpolation."""
    positions = torch.arange(2 * _STRIDE, device="cpu") / _STRIDE
    sides = 1 - (positions - (1 - 0.5 / _STRIDE)).abs()
    return torch.outer(sides, sides)


def resize_float(x: Tensor, size: Size) -> Tensor:
    """Resize (N, C, H, W) floats with Pillow's bilinear filter, antialiased when it shrinks.

    The published script resizes each class with Pillow in mode F. This is the same filter on the
    device of `x`; like Pillow it computes in float64, as positions in float32 would be off by 1e-4
    of a pixel at 2048 pixels.
    """
    if x.shape[-2:] == size:
        return x
    resized = F.interpolate(
        x.double(), size=size, mode="bilinear", align_corners=False, antialias=True
    )
    return resized.to(x.dtype)


def _trunk(base: int, blocks: Sequence[int]) -> nn.Sequential:
    """Nine stages of output stride 8: strides give way to dilation from the sixth."""
    return nn.Sequential(
        conv_norm_relu(3, base, 7),
        conv_norm_relu(base, base, 3),
        conv_norm_relu(base, 2 * base, 3, stride=2),
        stage(2 * base, 4 * base, blocks[0], stride=2),
        stage(EXPANSION * 4 * base, 8 * base, blocks[1], stride=2),
        stage(EXPANSION * 8 * base, 16 * base, blocks[2], dilation=2),
        stage(EXPANSION * 16 * base, 32 * base, blocks[3], dilation=4),
        conv_norm_relu(EXPANSION * 32 * base, 32 * base, 3, dilation=2),
        conv_norm_relu(32 * base, 32 * base, 3),
    )
