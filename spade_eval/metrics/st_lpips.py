# SPDX-License-Identifier: Apache-2.0
"""ST-LPIPS (Ghildyal and Liu, ECCV 2022): LPIPS that a shift by a pixel does not move.

An AlexNet whose every subsampling is a blur: the first convolution and the pools keep each pixel,
and a binomial filter takes every second one. The layers of one file of the package
stlpips-pytorch 0.0.2 (BSD-2-Clause), trunk and 1x1 convolutions together; the package itself is
never imported.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.metrics.lpips import LPIPS
from spade_eval.weights import ST_LPIPS, WeightFile

_BINOMIAL = (1.0, 2.0, 1.0)


class ShiftTolerantLPIPS(LPIPS):
    """Distance of images in [0, 1], with given weights."""

    title: ClassVar[str] = "ST-LPIPS over AlexNet"
    files: ClassVar[tuple[WeightFile, WeightFile]] = (ST_LPIPS, ST_LPIPS)

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        """`weights` are the entries of `ST_LPIPS`."""
        # "net.slice2.5.weight" is layer 5 of the trunk.
        trunk = {
            f"features.{name.split('.', 2)[2]}": value
            for name, value in weights.items()
            if name.startswith("net.slice")
        }
        linear = {name: value for name, value in weights.items() if name.startswith("lin")}
        super().__init__(trunk, linear)

    @staticmethod
    def trunk() -> nn.Sequential:
        """Return the layers up to the fifth rectifier, without weights, numbered as in the file."""
        return nn.Sequential(
            nn.Conv2d(3, 64, 11, padding=2), _Halved(64), nn.ReLU(),
            nn.MaxPool2d(3, stride=1), _Halved(64),
            nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(),
            nn.MaxPool2d(3, stride=1), _Halved(192),
            nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
        )  # fmt: skip


class _Halved(nn.Module):
    """A binomial filter of 3x3 at every second pixel, of a map that is mirrored by 2 around."""

    filt: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        line = torch.tensor(_BINOMIAL)
        plane = line[:, None] * line / line.sum() ** 2
        self.register_buffer("filt", plane.expand(channels, 1, 3, 3).clone())

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) -> (N, C, H // 2 + 1, W // 2 + 1) for even sides."""
        return F.conv2d(F.pad(x, (2, 2, 2, 2), "reflect"), self.filt, stride=2, groups=x.shape[1])
