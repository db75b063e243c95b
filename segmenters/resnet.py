# SPDX-License-Identifier: Apache-2.0
"""The bottleneck of residual networks, as two published segmenters name and stride it.

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, with the stride in the 3x3
convolution and, after Yu and Koltun, dilation in place of stride.
"""

import torch.nn.functional as F
from torch import Tensor, nn

EXPANSION = 4


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 and a shortcut; output channels are 4 * `channels`."""

    norms_after = (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"))

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int = 1,
        dilation: int = 1,
        first: bool = True,
    ) -> None:
        """`first`: the first block of a stage, whose shortcut is a 1x1 convolution."""
        super().__init__()
        width = EXPANSION * channels
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(
            channels, channels, 3, stride, padding=dilation, dilation=dilation, bias=False
        )
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.downsample = (
            nn.Sequential(
                nn.Conv2d(in_channels, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )
            if first
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) -> (N, 4 * channels, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        y = F.relu_(self.bn1(self.conv1(x)))
        y = F.relu_(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        y += shortcut
        return F.relu_(y)


def stage(
    in_channels: int, channels: int, blocks: int, stride: int = 1, dilation: int = 1
) -> nn.Sequential:
    """Build `blocks` bottlenecks of one width; the first has the stride, all have the dilation."""
    first = Bottleneck(in_channels, channels, stride, dilation)
    width = EXPANSION * channels
    rest = (Bottleneck(width, channels, dilation=dilation, first=False) for _ in range(blocks - 1))
    return nn.Sequential(first, *rest)


def conv_norm_relu(
    in_channels: int, channels: int, kernel_size: int, stride: int = 1, dilation: int = 1
) -> nn.Sequential:
    """Build convolution without bias that keeps the size but for the stride, norm, relu."""
    convolution = nn.Conv2d(
        in_channels,
        channels,
        kernel_size,
        stride,
        padding=dilation * (kernel_size // 2),
        dilation=dilation,
        bias=False,
    )
    return nn.Sequential(convolution, nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
