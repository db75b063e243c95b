# SPDX-License-Identifier: Apache-2.0
"""Blocks of networks that translate between two domains of images: those of MUNIT and UNIT.

Huang et al., "Multimodal Unsupervised Image-to-Image Translation", ECCV 2018, Appendix B. Every
convolution has a bias and pads by reflection; norm and activation follow it.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DomainNorm = Literal["none", "instance", "image", "given"]
Activation = Literal["none", "relu", "leaky", "tanh"]
Affine = tuple[Tensor, Tensor]
"""Shift and scale of a norm, (N, C) each."""


class ImageNorm(nn.Module):
    """Layer norm over channels and pixels of an image, with scale and shift of each channel.

    Unlike torch's it takes the unbiased deviation, and adds epsilon to it, not to the variance.
    """

    epsilon = 1e-5

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) -> (N, C, H, W)."""
        mean = x.mean(dim=(1, 2, 3), keepdim=True)
        deviation = x.std(dim=(1, 2, 3), keepdim=True, correction=1)
        normalised = (x - mean) / (deviation + self.epsilon)
        return normalised * self.gamma[:, None, None] + self.beta[:, None, None]


class GivenInstanceNorm(nn.Module):
    """Adaptive instance norm: shift and scale come with every image, from its style.

    There is no "1 +" in the scale (Huang et al., Eq. 7). The two buffers stand in the released
    files and are never read.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor, affine: Affine) -> Tensor:
        """Map (N, C, H, W) and (N, C) twice -> (N, C, H, W)."""
        shift, scale = affine
        return F.instance_norm(x) * scale[:, :, None, None] + shift[:, :, None, None]


def _norm(kind: DomainNorm, channels: int) -> nn.Module:
    if kind == "none":
        return nn.Identity()
    if kind == "instance":
        return nn.InstanceNorm2d(channels)
    return ImageNorm(channels) if kind == "image" else GivenInstanceNorm(channels)


_ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "relu": F.relu,
    "leaky": lambda x: F.leaky_relu(x, 0.2),
    "tanh": torch.tanh,
}


class PaddedConv(nn.Module):
    """Reflection, convolution, norm, activation."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        *,
        norm: DomainNorm = "none",
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        padding = (kernel_size - 1) // 2  # 1 of a 4x4 kernel, which halves
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, padding, padding_mode="reflect"
        )
        self.norm = _norm(norm, out_channels)
        self.activation = activation

    def forward(self, x: Tensor, affine: Affine | None = None) -> Tensor:
        """Map (N, in_channels, H, W) -> (N, out_channels, h, w); `affine` for a given norm."""
        x = self.conv(x)
        x = self.norm(x) if affine is None else self.norm(x, affine)
        return _ACTIVATIONS[self.activation](x)


class ResidualBlock(nn.Module):
    """x + second(first(x)), of which the first alone has an activation."""

    def __init__(self, channels: int, norm: DomainNorm) -> None:
        super().__init__()
        self.first = PaddedConv(channels, channels, 3, norm=norm)
        self.second = PaddedConv(channels, channels, 3, norm=norm, activation="none")

    def forward(self, x: Tensor, affines: Sequence[Affine | None] = (None, None)) -> Tensor:
        """Map (N, C, H, W) -> (N, C, H, W), with what two given norms are given."""
        first, second = affines
        residual: Tensor = self.second(self.first(x, first), second)
        return x + residual
