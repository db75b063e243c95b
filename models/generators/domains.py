# SPDX-License-Identifier: Apache-2.0
"""What MUNIT's and UNIT's generators share: an encoder of content and a decoder.

Huang et al., ECCV 2018, Appendix B.1; Liu et al., "Unsupervised Image-to-Image Translation
Networks", NeurIPS 2017, in the form of the MUNIT repository. A generator is made of two domains:
it encodes colour-coded label maps and decodes photos.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.models.colours import coloured, require_palette, spread_palette
from spade_eval.models.layers.domains import Affine, DomainNorm, PaddedConv, ResidualBlock
from spade_eval.models.released import Hints, Shapes, numbered
from spade_eval.models.semantics import SemanticMap

_RGB = 3


@dataclass(frozen=True, kw_only=True)
class DomainConfig:
    """What both generators are built by."""

    num_labels: int  # channels of the semantic map: classes and "unknown", no edges
    # Their colours, see `models.colours`. Without any a map of three channels is the picture.
    palette: str = ""
    base_channels: int = 64
    num_downsamplings: int = 2
    num_blocks: int = 4  # of the encoder and of the decoder


class LabelPictures:
    """Label maps as images of domain A."""

    def __init__(self, config: DomainConfig) -> None:
        self._palette = config.palette
        if not self._palette and config.num_labels != _RGB:  # built without a dataset
            self._palette = spread_palette(config.num_labels)
        if self._palette:
            require_palette(self._palette, config.num_labels)

    def __call__(self, semantics: SemanticMap) -> Tensor:
        """Return (N, 3, H, W) in [-1, 1]."""
        return coloured(semantics, self._palette) if self._palette else semantics.full


class ContentEncoder(nn.Module):
    """Convolutions that halve, then residual blocks, all with instance norm."""

    def __init__(self, base_channels: int, num_downsamplings: int, num_blocks: int) -> None:
        super().__init__()
        layers = [PaddedConv(3, base_channels, 7, norm="instance")]
        for depth in range(num_downsamplings):
            width = base_channels * 2**depth
            layers.append(PaddedConv(width, 2 * width, 4, stride=2, norm="instance"))
        self.layers = nn.ModuleList(layers)
        channels = base_channels * 2**num_downsamplings
        self.blocks = nn.ModuleList(ResidualBlock(channels, "instance") for _ in range(num_blocks))

    def forward(self, image: Tensor) -> Tensor:
        """Map (N, 3, H, W) in [-1, 1] -> content (N, C, h, w)."""
        x = image
        for layer in self.layers:
            x = layer(x)
        for block in self.blocks:
            x = block(x)
        return x


class Decoder(nn.Module):
    """Residual blocks, doublings with 5x5 convolutions and layer norm, and a last 7x7 one."""

    def __init__(
        self, base_channels: int, num_upsamplings: int, num_blocks: int, norm: DomainNorm
    ) -> None:
        super().__init__()
        channels = base_channels * 2**num_upsamplings
        self.blocks = nn.ModuleList(ResidualBlock(channels, norm) for _ in range(num_blocks))
        self.ups = nn.ModuleList(
            PaddedConv(channels >> depth, channels >> depth + 1, 5, norm="image")
            for depth in range(num_upsamplings)
        )
        self.to_rgb = PaddedConv(base_channels, 3, 7, activation="tanh")

    def forward(self, content: Tensor, affines: Iterator[Affine] | None = None) -> Tensor:
        """Map content (N, C, h, w) -> (N, 3, H, W) in [-1, 1]; two `affines` for each block."""
        x = content
        for block in self.blocks:
            x = block(x) if affines is None else block(x, (next(affines), next(affines)))
        for up in self.ups:
            x = up(F.interpolate(x, scale_factor=2, mode="nearest"))
        image: Tensor = self.to_rgb(x)
        return image


def encoder_names(config: DomainConfig, published: str) -> dict[str, str]:
    """Map the names of `content` -> those of an encoder in the authors' files."""
    layers = config.num_downsamplings + 1
    return {
        **{f"content.layers.{i}": f"{published}.model.{i}" for i in range(layers)},
        **_block_names("content", f"{published}.model.{layers}", config.num_blocks),
    }


def decoder_names(config: DomainConfig) -> dict[str, str]:
    """Map the names of `decoder` -> those of the authors' files, where doublings count, too."""
    ups = config.num_downsamplings
    return {
        **_block_names("decoder", "dec.model.0", config.num_blocks),
        **{f"decoder.ups.{i}": f"dec.model.{2 * i + 2}" for i in range(ups)},
        "decoder.to_rgb": f"dec.model.{2 * ups + 1}",
    }


def _block_names(ours: str, theirs: str, count: int) -> dict[str, str]:
    return {
        f"{ours}.blocks.{block}.{part}": f"{theirs}.model.{block}.model.{place}"
        for block in range(count)
        for place, part in enumerate(("first", "second"))
    }


def published_sizes(tensors: Shapes, hints: Hints, encoder: str) -> dict[str, Any]:
    """Infer what is in a `DomainConfig` of a state dict with published names."""
    layers = len(numbered(tensors, f"{encoder}.model.", ".conv.weight")) - 1
    blocks = numbered(tensors, f"{encoder}.model.{layers}.model.", ".conv.weight")
    return {
        "num_labels": hints.num_labels if hints.palette and hints.num_labels else _RGB,
        "palette": hints.palette,
        "base_channels": tensors[f"{encoder}.model.0.conv.weight"].shape[0],
        "num_downsamplings": layers - 1,
        "num_blocks": len(blocks),
    }
