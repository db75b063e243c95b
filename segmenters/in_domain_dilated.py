# SPDX-License-Identifier: Apache-2.0
"""An in-domain network without a decoder: context by dilation, as DeepLab (Chen et al., 2018).

It checks the verdicts of the U-Net: resolution stays at a quarter, residual blocks (He et al.,
2016) of growing dilation see the whole picture, and logits are folded out of channels.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.segmenters.in_domain import InDomainConfig, InDomainNetwork, resized

_DILATIONS = (1, 2, 4, 8, 1)


class InDomainDilated(InDomainNetwork):
    """Residual blocks at one resolution."""

    title = "in-domain dilated"

    def __init__(self, config: InDomainConfig) -> None:
        super().__init__(config)
        width = config.base_channels
        self.feature_dim = 3 * width
        self.down_2 = nn.Sequential(
            nn.PixelUnshuffle(2), _convolution(12, width), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.down_4 = nn.Sequential(
            nn.Conv2d(width, 2 * width, kernel_size=4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            *(_Residual(2 * width, dilation) for dilation in _DILATIONS),
        )
        self.classify = nn.Sequential(
            nn.Conv2d(2 * width, 16 * config.num_classes, kernel_size=1), nn.PixelShuffle(4)
        )

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return maps at 1/2 and 1/4 of the size at which the network sees the images."""
        half = self.down_2(self.normalised(images))
        return half, self.down_4(half)

    def decode(self, images: Tensor, maps: tuple[Tensor, Tensor]) -> Tensor:
        """Compute logits from the coarser map."""
        return resized(self.classify(maps[-1]), images)


class _Residual(nn.Module):
    """x + two convolutions, the first dilated."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            _convolution(channels, channels // 2, dilation),
            nn.BatchNorm2d(channels // 2),
            nn.ReLU(),
            _convolution(channels // 2, channels),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.block(x))


def _convolution(channels_in: int, channels_out: int, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, padding=dilation, dilation=dilation, bias=False)
