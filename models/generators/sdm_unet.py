# SPDX-License-Identifier: Apache-2.0
"""SDM's U-Net: it encodes the noisy image alone, and decodes it by the semantic map.

Wang et al., "Semantic Image Synthesis via Diffusion Models", 2022, Sec. 3.2 and Fig. 3: the network
of Dhariwal & Nichol (NeurIPS 2021) with SPADE behind the group norms of middle and decoder.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from spade_eval.models.generators.base import check_semantics
from spade_eval.models.labels import Size
from spade_eval.models.layers.diffusion import Attention, ResidualBlock, TimeEmbedding, ZeroConv2d
from spade_eval.models.layers.norms import unconditional_norm
from spade_eval.models.layers.spade import SPADE
from spade_eval.models.semantics import SemanticMap

_HEAD_CHANNELS = 64  # as released; Dhariwal & Nichol, Sec. 3
Config = TypeVar("Config", bound="UNetConfig")
Kind = Literal["conv", "block", "attention", "down", "up"]

_MIN_HIDDEN_CHANNELS = 16
# Widths by level for images of so many pixels, shorter side (Dhariwal & Nichol, published code).
_MULTIPLIERS = {64: (1, 2, 3, 4), 128: (1, 1, 2, 3, 4), 256: (1, 1, 2, 2, 4, 4)}
_ATTENDED = (32, 16, 8)  # pixels a side at which there is attention


@dataclass(frozen=True, kw_only=True)
class UNetConfig:
    """Widths and depth; those of the released networks for 256 pixels unless said."""

    num_labels: int
    base_channels: int = 256
    hidden_channels: int = 128  # of SPADE layers
    multipliers: tuple[int, ...] = (1, 1, 2, 2, 4, 4)  # of base_channels, a level each
    num_blocks: int = 2  # a level of the encoder; the decoder has one more
    attention_at: tuple[int, ...] = (8, 16, 32)  # downsamplings at whose levels there is attention
    head_channels: int = _HEAD_CHANNELS

    def __post_init__(self) -> None:
        if self.base_channels < 2 or self.base_channels % 2 or not self.multipliers:
            raise ValueError(
                f"base_channels is {self.base_channels} with multipliers {self.multipliers}, "
                "expected an even number, of whose channels half are sines, and a level at least"
            )
        attended = {
            self.base_channels * multiplier
            for level, multiplier in enumerate(self.multipliers)
            if 2**level in self.attention_at or level == len(self.multipliers) - 1
        }
        if self.head_channels < 1 or any(width % self.head_channels for width in attended):
            raise ValueError(
                f"head_channels is {self.head_channels}, expected a divisor of the widths with "
                f"attention ({', '.join(map(str, sorted(attended)))})"
            )

    def scaled(self: Config, width: float) -> Config:
        """Return the configuration with every number of channels times `width`."""
        base_channels = 4 * max(1, round(self.base_channels * width / 4))
        return replace(
            self,
            base_channels=base_channels,
            hidden_channels=max(_MIN_HIDDEN_CHANNELS, round(self.hidden_channels * width)),
            head_channels=heads_within(base_channels),
        )

    def fitted(self: Config, image_size: Size) -> Config:
        """Return the configuration with levels and attention for images of that size.

        As the published code has them for its shorter side, or fewer levels where these would
        halve the image too often.
        """
        fitting = (
            known
            for known, multipliers in _MULTIPLIERS.items()
            if known <= min(image_size)
            and not any(side % 2 ** (len(multipliers) - 1) for side in image_size)
        )
        side = max(fitting, default=min(_MULTIPLIERS))
        attended = tuple(side // pixels for pixels in _ATTENDED)
        return replace(self, multipliers=_MULTIPLIERS[side], attention_at=attended)


def heads_within(base_channels: int) -> int:
    """Return the channels of a head: those of the released networks where they fit the width."""
    return math.gcd(_HEAD_CHANNELS, base_channels)


@dataclass(frozen=True)
class Stage:
    """Layers between two points of the U-Net that the skips connect."""

    level: int
    kinds: tuple[Kind, ...]


def encoder_stages(config: UNetConfig) -> Iterator[Stage]:
    """Yield the stages whose results the decoder is given."""
    yield Stage(0, ("conv",))
    for level in range(len(config.multipliers)):
        for _ in range(config.num_blocks):
            yield Stage(level, ("block", *_attention(config, level)))
        if level < len(config.multipliers) - 1:
            yield Stage(level, ("down",))


def decoder_stages(config: UNetConfig) -> Iterator[Stage]:
    """Yield the stages that take these results, the last one first."""
    for level in reversed(range(len(config.multipliers))):
        for number in range(config.num_blocks + 1):
            kinds: tuple[Kind, ...] = ("block", *_attention(config, level))
            if level > 0 and number == config.num_blocks:
                kinds = (*kinds, "up")
            yield Stage(level, kinds)


def _attention(config: UNetConfig, level: int) -> tuple[Kind, ...]:
    return ("attention",) if 2**level in config.attention_at else ()


@dataclass(frozen=True)
class Encoded:
    """What the decoder needs of a noisy image."""

    embedding: Tensor  # (N, E), of the timestep
    features: tuple[Tensor, ...]  # of the stages, in order


class SDMUNet(nn.Module):
    """Noisy image, timestep and semantic map -> noise, and v of its variance."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        self.multiple = 2 ** (len(config.multipliers) - 1)
        self.embed = TimeEmbedding(config.base_channels)
        widths: list[int] = []  # of the encoder's stages
        self.encoder = nn.ModuleList(self._encoder(widths))
        deepest = widths[-1]
        self.middle = nn.ModuleList(
            [
                self._block(deepest, deepest, conditional=True),
                Attention(deepest, config.head_channels),
                self._block(deepest, deepest, conditional=True),
            ]
        )
        self.decoder = nn.ModuleList(self._decoder(deepest, widths))
        self.norm = unconditional_norm("group", config.base_channels * config.multipliers[0])
        self.to_noise = ZeroConv2d(config.base_channels * config.multipliers[0], 6, 3, padding=1)

    def forward(self, x: Tensor, t: Tensor, semantics: SemanticMap) -> Tensor:
        """x (N, 3, H, W), t (N,) from 0 on and the map -> (N, 6, H, W): noise, then v."""
        return self.decode(self.encode(x, t), semantics)

    def encode(self, x: Tensor, t: Tensor) -> Encoded:
        """Compute what does not depend on the semantic map."""
        embedding = self.embed(t)
        features: list[Tensor] = []
        for stage in self.encoder:
            x = _through(stage, x, embedding)  # type: ignore[arg-type]
            features.append(x)
        return Encoded(embedding, tuple(features))

    def decode(self, encoded: Encoded, semantics: SemanticMap) -> Tensor:
        """Return noise and v (N, 6, H, W) by the map, of which one may stand for all images."""
        check_semantics(semantics, self.config.num_labels, self.multiple)
        left = list(encoded.features)
        x = _through(self.middle, left[-1], encoded.embedding, semantics)
        for stage in self.decoder:
            x = torch.cat([x, left.pop()], dim=1)
            x = _through(stage, x, encoded.embedding, semantics)  # type: ignore[arg-type]
        result: Tensor = self.to_noise(nn.functional.silu(self.norm(x)))
        return result

    def _encoder(self, widths: list[int]) -> Iterator[nn.ModuleList]:
        channels = 3
        for stage in encoder_stages(self.config):
            out = self._width(stage)
            yield nn.ModuleList(self._layers(stage.kinds, channels, out, conditional=False))
            channels = out
            widths.append(out)

    def _decoder(self, channels: int, widths: list[int]) -> Iterator[nn.ModuleList]:
        for stage, passed in zip(decoder_stages(self.config), reversed(widths), strict=True):
            out = self._width(stage)
            yield nn.ModuleList(self._layers(stage.kinds, channels + passed, out, conditional=True))
            channels = out

    def _width(self, stage: Stage) -> int:
        return self.config.base_channels * self.config.multipliers[stage.level]

    def _layers(
        self, kinds: Iterable[Kind], channels: int, out: int, *, conditional: bool
    ) -> Iterator[nn.Module]:
        for kind in kinds:
            if kind == "conv":
                yield nn.Conv2d(channels, out, 3, padding=1)
            elif kind == "attention":
                yield Attention(channels, self.config.head_channels)
            else:
                resize = "none" if kind == "block" else kind
                yield self._block(channels, out, conditional=conditional, resize=resize)
            channels = out

    def _block(
        self,
        channels: int,
        out: int,
        *,
        conditional: bool,
        resize: Literal["none", "down", "up"] = "none",
    ) -> ResidualBlock:
        config = self.config
        spade = partial(
            SPADE,
            num_labels=config.num_labels,
            param_free="group",
            hidden_channels=config.hidden_channels,
        )
        make_norm = spade if conditional else partial(unconditional_norm, "group")
        return ResidualBlock(channels, out, 4 * config.base_channels, make_norm, resize)


def _through(
    stage: nn.ModuleList, x: Tensor, embedding: Tensor, semantics: SemanticMap | None = None
) -> Tensor:
    for layer in stage:
        x = layer(x, embedding, semantics) if isinstance(layer, ResidualBlock) else layer(x)
    return x
