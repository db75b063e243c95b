# SPDX-License-Identifier: Apache-2.0
"""OASIS's discriminator: a U-Net that segments an image into "fake" and the classes.

Sushko et al., ICLR 2021, Sec. 3.2 and Appendix A. It sees the image alone and gives one logit a
pixel for "fake", which is channel 0, and for every label of the semantic map after it.
"""

import itertools
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.models.generators.base import check_size
from spade_eval.models.layers.resblocks import BLOCK_SLOPE
from spade_eval.models.layers.spectral import spectral_norm
from spade_eval.models.released import Hints, Published, Shapes

# Output widths in units of base_channels, on the way down and up again.
_DOWN = (2, 2, 4, 4, 8, 8)
_UP = (8, 4, 4, 2, 2, 1)


class UNetDiscriminator(nn.Module):
    """Six halvings and six doublings, joined at equal resolution."""

    published: ClassVar[Published]
    multiple = 2 ** len(_DOWN)

    @dataclass(frozen=True, kw_only=True)
    class Config:
        num_labels: int  # channels of the semantic map
        base_channels: int = 64
        spectral: bool = True

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        down = [3, *(width * config.base_channels for width in _DOWN)]
        up = [width * config.base_channels for width in _UP]
        # What comes up meets what went down at its resolution, from the second block on.
        joined = [down[-1], *(a + b for a, b in zip(down[-2:0:-1], up[:-1], strict=True))]
        self.down = nn.ModuleList(
            DownBlock(*widths, is_first=index == 0, spectral=config.spectral)
            for index, widths in enumerate(itertools.pairwise(down))
        )
        self.up = nn.ModuleList(
            UpBlock(*widths, spectral=config.spectral) for widths in zip(joined, up, strict=True)
        )
        self.to_logits = nn.Conv2d(up[-1], config.num_labels + 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Map (N, 3, H, W) in [-1, 1], H, W multiples of 64 -> (N, num_labels + 1, H, W) logits."""
        check_size((image.shape[-2], image.shape[-1]), self.multiple)
        x, passed = image, []
        for down in self.down:
            passed.append(x)
            x = down(x)
        for index, up in enumerate(self.up):
            # Of equal resolution before this block; the deepest has nobody to meet.
            x = up(torch.cat([passed[-index], x], dim=1) if index else x)
        logits: Tensor = self.to_logits(x)
        return logits


class DownBlock(nn.Module):
    """Two convolutions and average pooling, beside a pooled shortcut."""

    def __init__(
        self, in_channels: int, out_channels: int, *, is_first: bool, spectral: bool
    ) -> None:
        super().__init__()
        self.is_first = is_first  # an image is not activated, and pooled before its 1x1 convolution
        self.conv1 = _conv(in_channels, out_channels, 3, spectral)
        self.conv2 = _conv(out_channels, out_channels, 3, spectral)
        self.shortcut = _shortcut(in_channels, out_channels, spectral)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) -> (N, out_channels, H / 2, W / 2)."""
        y = x if self.is_first else F.leaky_relu(x, BLOCK_SLOPE)
        y = self.conv2(F.leaky_relu(self.conv1(y), BLOCK_SLOPE))
        if self.is_first:
            shortcut: Tensor = self.shortcut(F.avg_pool2d(x, 2))
        else:
            shortcut = F.avg_pool2d(self.shortcut(x), 2)
        return F.avg_pool2d(y, 2) + shortcut


class UpBlock(nn.Module):
    """Nearest doubling and two convolutions, beside a doubled shortcut."""

    def __init__(self, in_channels: int, out_channels: int, *, spectral: bool) -> None:
        super().__init__()
        self.conv1 = _conv(in_channels, out_channels, 3, spectral)
        self.conv2 = _conv(out_channels, out_channels, 3, spectral)
        self.shortcut = _shortcut(in_channels, out_channels, spectral)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) -> (N, out_channels, 2 * H, 2 * W)."""
        doubled = F.interpolate(x, scale_factor=2, mode="nearest")
        y = self.conv1(F.leaky_relu(doubled, BLOCK_SLOPE))
        shortcut: Tensor = self.shortcut(doubled)
        return self.conv2(F.leaky_relu(y, BLOCK_SLOPE)) + shortcut


def _conv(in_channels: int, out_channels: int, kernel_size: int, spectral: bool) -> nn.Module:
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
    return spectral_norm(conv) if spectral else conv


def _shortcut(in_channels: int, out_channels: int, spectral: bool) -> nn.Module:
    """Return a 1x1 convolution where the width changes."""
    if in_channels == out_channels:
        return nn.Identity()
    return _conv(in_channels, out_channels, 1, spectral)


def published_names(config: UNetDiscriminator.Config) -> dict[str, str]:
    """Map our module names -> those of the authors' checkpoints, with positions in sequences."""
    names = {"to_logits": "layer_up_last"}
    for way, count in (("down", len(_DOWN)), ("up", len(_UP))):
        for index in range(count):
            first = 2 if way == "up" else int(index > 0)
            ours, theirs = f"{way}.{index}", f"body_{way}.{index}"
            names[f"{ours}.conv1"] = f"{theirs}.conv1.{first}"
            names[f"{ours}.conv2"] = f"{theirs}.conv2.1"
            names[f"{ours}.shortcut"] = f"{theirs}.conv_s"
    return names


def _config_of(tensors: Shapes, hints: Hints) -> UNetDiscriminator.Config:
    """Infer the configuration of a state dict with published names."""
    labels, base_channels, *_ = tensors["layer_up_last.weight"].shape
    return UNetDiscriminator.Config(
        num_labels=labels - 1,
        base_channels=base_channels,
        spectral="body_down.0.conv1.0.weight_orig" in tensors,
    )


UNetDiscriminator.published = Published(
    recognises=lambda tensors: {"layer_up_last.weight", "body_down.0.conv1.0.bias"} <= set(tensors),
    config_of=_config_of,
    names=published_names,
)
