# SPDX-License-Identifier: Apache-2.0
"""Layers of a diffusion model's U-Net: embedded timesteps, residual blocks, attention.

Dhariwal & Nichol, "Diffusion Models Beat GANs on Image Synthesis", NeurIPS 2021, Sec. 3; blocks of
Wang et al., "Semantic Image Synthesis via Diffusion Models", 2022, Sec. 3.2, read a semantic map.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.models.layers.norms import unconditional_norm
from spade_eval.models.layers.spade import MakeNorm
from spade_eval.models.semantics import SemanticMap

_SLOWEST = 10_000.0  # of the waves of a timestep, in steps of a radian (Vaswani et al., 2017)
Resize = Literal["none", "down", "up"]


class ZeroConv1d(nn.Conv1d):
    """A convolution that begins at zero, so that what it ends begins as if it were not there."""


class ZeroConv2d(nn.Conv2d):
    """The same of images."""


def sinusoids(t: Tensor, channels: int) -> Tensor:
    """Map timesteps (N,) -> (N, channels): cosines, then sines, from fast to slow waves."""
    half = channels // 2
    frequencies = torch.exp(
        -math.log(_SLOWEST) * torch.arange(half, device=t.device, dtype=t.dtype) / half
    )
    angles = t[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class TimeEmbedding(nn.Module):
    """Timesteps (N,) -> (N, 4 * channels): their waves, and two linear layers."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.first = nn.Linear(channels, 4 * channels)
        self.second = nn.Linear(4 * channels, 4 * channels)

    def forward(self, t: Tensor) -> Tensor:
        """Embed timesteps of any type of numbers; half floats are too coarse for the waves."""
        dtype = self.first.weight.dtype
        waves = sinusoids(t.to(torch.promote_types(dtype, torch.float32)), self.channels)
        embedded: Tensor = self.second(F.silu(self.first(waves.to(dtype))))
        return embedded


class ResidualBlock(nn.Module):
    """x (N, C, H, W) and an embedded timestep (N, E) -> (N, C', H', W').

    The timestep gives scale and shift behind the second norm (adaptive group norm, Dhariwal &
    Nichol, Sec. 3.1). `resize` halves or doubles height and width of both paths.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        embedding_channels: int,
        make_norm: MakeNorm,
        resize: Resize = "none",
    ) -> None:
        super().__init__()
        self.resize = resize
        self.norm_in = make_norm(in_channels)
        self.conv_in = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.to_affine = nn.Linear(embedding_channels, 2 * out_channels)
        self.norm_out = make_norm(out_channels)
        self.conv_out = ZeroConv2d(out_channels, out_channels, 3, padding=1)
        if in_channels != out_channels:
            self.skip = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor, embedding: Tensor, semantics: SemanticMap | None = None) -> Tensor:
        """Compute the block; `semantics` is for blocks whose norms read it."""
        h = self._resized(F.silu(_normalised(self.norm_in, x, semantics)))
        h = self.conv_in(h)
        scale, shift = self.to_affine(F.silu(embedding))[:, :, None, None].chunk(2, dim=1)
        h = _normalised(self.norm_out, h, semantics) * (1 + scale) + shift
        x = self._resized(x)
        shortcut = self.skip(x) if hasattr(self, "skip") else x
        block: Tensor = shortcut + self.conv_out(F.silu(h))
        return block

    def _resized(self, x: Tensor) -> Tensor:
        if self.resize == "down":
            return F.avg_pool2d(x, 2)
        return F.interpolate(x, scale_factor=2.0) if self.resize == "up" else x


def _normalised(norm: nn.Module, x: Tensor, semantics: SemanticMap | None) -> Tensor:
    normalised: Tensor = norm(x) if semantics is None else norm(x, semantics)
    return normalised


class Attention(nn.Module):
    """Every pixel looks at all pixels, with several heads of `head_channels` each.

    softmax(q k / sqrt(d)) v (Vaswani et al., 2017, Eq. 1). As in the released files, channels are
    divided among the heads before each divides its own into q, k and v.
    """

    def __init__(self, channels: int, head_channels: int) -> None:
        super().__init__()
        self.heads = channels // head_channels
        self.norm = unconditional_norm("group", channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.to_out = ZeroConv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) -> the same."""
        flat = x.flatten(2)
        batch, channels, pixels = flat.shape
        heads = self.qkv(self.norm(flat)).reshape(batch * self.heads, -1, pixels)
        q, k, v = heads.chunk(3, dim=1)
        attended = self.attended(q, k, v).reshape(batch, channels, pixels)
        result: Tensor = flat + self.to_out(attended)
        return result.view(x.shape)

    def attended(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Return the mean of v over all pixels for each of them; all are (heads, C, pixels)."""
        weights = torch.softmax(q.transpose(1, 2) @ k / math.sqrt(q.shape[1]), dim=2)
        return v @ weights.transpose(1, 2)
