# SPDX-License-Identifier: Apache-2.0
"""pix2pix's generator: a U-Net whose randomness is dropout, at test time too.

Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017,
Sec. 3.2 and Appendix. A level halves the image on the way down and doubles it on the way up; what
comes up joins what went down. As published, a trained network is run as in training: batch norm
by the statistics of the single image, dropout on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.models.choices import TestMode
from spade_eval.models.colours import coloured, require_palette
from spade_eval.models.generators.base import check_semantics, check_size, refuse_latent
from spade_eval.models.labels import Size
from spade_eval.models.layers.norms import unconditional_norm
from spade_eval.models.released import Hints, Published, Shapes
from spade_eval.models.semantics import SemanticMap

UNetNorm = Literal["batch", "instance"]

MOST_DOWNSAMPLINGS = 8
LEAST_DOWNSAMPLINGS = 5
"""Below it the published widths, 64 to 512, do not fit in."""
_WIDEST = 8  # in units of base_channels
_FIRST_DROPPED = 4  # the level below which (innermost aside) what comes up is dropped by half
_KEPT = 0.5
_RGB = 3


def downsamplings_for(size: Size) -> int:
    """Return how many of the eight downsamplings an image allows; `ValueError` below five."""
    check_size(size, 2**LEAST_DOWNSAMPLINGS)
    allowed = range(LEAST_DOWNSAMPLINGS, MOST_DOWNSAMPLINGS + 1)
    return max(n for n in allowed if all(side % 2**n == 0 for side in size))


class UNetGenerator(nn.Module):
    """Levels from the image (0) to the innermost; with a palette the map is read in colours."""

    published: ClassVar[Published]

    @dataclass(frozen=True, kw_only=True)
    class Config:
        num_labels: int  # channels of the semantic map
        palette: str = ""  # the label map as a picture; empty: one-hot. See `models.colours`
        base_channels: int = 64
        num_downsamplings: int = MOST_DOWNSAMPLINGS
        norm: UNetNorm = "batch"
        # "train": statistics of the single image, dropout on; "eval": running statistics, no
        # dropout. Read by the method when it synthesizes, never in training.
        test_mode: TestMode = "train"

        def fitted(self, size: Size) -> "UNetGenerator.Config":
            """Return the configuration with as many downsamplings as the size allows."""
            return replace(self, num_downsamplings=downsamplings_for(size))

        @property
        def in_channels(self) -> int:
            """Channels that the first convolution sees."""
            return _RGB if self.palette else self.num_labels

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        if config.palette:
            require_palette(config.palette, config.num_labels)
        if config.num_downsamplings < LEAST_DOWNSAMPLINGS:
            raise ValueError(
                f"num_downsamplings is {config.num_downsamplings}, expected at least "
                f"{LEAST_DOWNSAMPLINGS}"
            )
        self.multiple = 2**config.num_downsamplings
        levels = range(config.num_downsamplings)
        widths = [config.base_channels * min(2**level, _WIDEST) for level in levels]
        innermost = levels[-1]
        self.down = nn.ModuleList(
            Down(
                widths[level - 1] if level else config.in_channels,
                widths[level],
                config.norm,
                is_first=level == 0,
                is_innermost=level == innermost,
            )
            for level in levels
        )
        # Of all levels but the first, whose way up is `to_rgb`.
        self.up = nn.ModuleList(
            Up(
                widths[level] if level == innermost else 2 * widths[level],
                widths[level - 1],
                config.norm,
            )
            for level in levels[1:]
        )
        self.to_rgb = nn.ConvTranspose2d(2 * widths[0], _RGB, 4, stride=2, padding=1)

    def forward(
        self,
        semantics: SemanticMap,
        z: Tensor | None = None,
        *,
        drawn: Sequence[Tensor] = (),
        of_image: bool = False,
    ) -> Tensor:
        """Map with H, W multiples of 2**num_downsamplings -> (N, 3, H, W) in [-1, 1].

        `drawn` are uniform numbers in [0, 1) of the shapes of `drawn_shapes`: with them what comes
        up is dropped by half, without them it is not. `of_image` normalises by the statistics of
        each image alone, whatever the mode; z is never taken.
        """
        refuse_latent(z, "pix2pix")
        check_semantics(semantics, self.config.num_labels, self.multiple)
        passed = [self.shown(semantics)]
        for down in self.down:
            passed.append(down(passed[-1], of_image=of_image))
        dropped = dict(zip(self._dropped, drawn, strict=bool(drawn)))
        x = passed.pop()
        for level in reversed(range(1, len(self.down))):
            x = self.up[level - 1](x, dropped.get(level), of_image=of_image)
            x = torch.cat([passed[level], x], dim=1)
        rgb: Tensor = self.to_rgb(F.relu(x))
        return rgb.tanh()

    def shown(self, semantics: SemanticMap) -> Tensor:
        """Return the label map as the network sees it, (N, in_channels, H, W)."""
        palette = self.config.palette
        return coloured(semantics, palette) if palette else semantics.full

    def drawn_shapes(self, size: Size) -> dict[int, tuple[int, int, int]]:
        """Return (C, h, w) of what is dropped in an image of this size, by level."""
        height, width = size
        channels = self.config.base_channels * _WIDEST
        return {level: (channels, height >> level, width >> level) for level in self._dropped}

    @property
    def _dropped(self) -> range:
        return range(_FIRST_DROPPED, self.config.num_downsamplings - 1)


class Down(nn.Module):
    """Leaky ReLU 0.2, convolution that halves, norm."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        norm: UNetNorm,
        *,
        is_first: bool,
        is_innermost: bool,
    ) -> None:
        super().__init__()
        bias = norm == "instance"
        self.conv = nn.Conv2d(in_channels, out_channels, 4, stride=2, padding=1, bias=bias)
        bare = is_first or is_innermost
        self.norm: nn.Module = nn.Identity() if bare else _norm(norm, out_channels)
        self.is_first = is_first

    def forward(self, x: Tensor, *, of_image: bool = False) -> Tensor:
        """Map (N, in_channels, H, W) -> (N, out_channels, H/2, W/2)."""
        x = x if self.is_first else F.leaky_relu(x, 0.2)
        return _normalised(self.norm, self.conv(x), of_image)


class Up(nn.Module):
    """ReLU, transposed convolution that doubles, norm, dropout."""

    def __init__(self, in_channels: int, out_channels: int, norm: UNetNorm) -> None:
        super().__init__()
        bias = norm == "instance"
        self.conv = nn.ConvTranspose2d(in_channels, out_channels, 4, stride=2, padding=1, bias=bias)
        self.norm = _norm(norm, out_channels)

    def forward(self, x: Tensor, drawn: Tensor | None = None, *, of_image: bool = False) -> Tensor:
        """Map (N, in_channels, H, W) -> (N, out_channels, 2H, 2W); drops where `drawn` < 0.5."""
        x = _normalised(self.norm, self.conv(F.relu(x)), of_image)
        return x if drawn is None else x * (drawn >= 1 - _KEPT) / _KEPT


def _norm(kind: UNetNorm, channels: int) -> nn.Module:
    return unconditional_norm("syncbatch" if kind == "batch" else kind, channels)


def _normalised(norm: nn.Module, x: Tensor, of_image: bool) -> Tensor:
    """Normalise; batch norm of a batch of one is an instance norm with its weight and bias."""
    if of_image and isinstance(norm, nn.modules.batchnorm._BatchNorm):
        return F.instance_norm(x, weight=norm.weight, bias=norm.bias, eps=norm.eps)
    normalised: Tensor = norm(x)
    return normalised


def published_names(config: UNetGenerator.Config) -> dict[str, str]:
    """Map our module names to the published ones: each level is a child of the one around it."""
    names = {"down.0.conv": "model.model.0", "to_rgb": "model.model.3"}
    place = "model.model.1.model"
    for level in range(1, config.num_downsamplings):
        is_innermost = level == config.num_downsamplings - 1
        # Convolution and norm on the way down, then on the way up, in the level's own sequence.
        children = (1, None, 3, 4) if is_innermost else (1, 2, 5, 6)
        ours = (f"down.{level}", f"up.{level - 1}")
        parts = [f"{way}.{part}" for way in ours for part in ("conv", "norm")]
        for name, child in zip(parts, children, strict=True):
            if child is not None:
                names[name] = f"{place}.{child}"
        place += ".3.model"
    return names


def _config_of(tensors: Shapes, hints: Hints) -> UNetGenerator.Config:
    """Infer the configuration of a state dict with published names."""
    base, channels, _, _ = tensors["model.model.0.weight"].shape
    depth, place = 1, "model.model.1.model"
    while f"{place}.1.weight" in tensors:
        depth, place = depth + 1, f"{place}.3.model"
    return UNetGenerator.Config(
        num_labels=hints.num_labels if hints.palette and hints.num_labels else channels,
        palette=hints.palette if channels == _RGB else "",
        base_channels=base,
        num_downsamplings=depth,
        norm="batch" if "model.model.1.model.2.weight" in tensors else "instance",
    )


UNetGenerator.published = Published(
    recognises=lambda tensors: {"model.model.0.weight", "model.model.3.weight"} <= set(tensors),
    config_of=_config_of,
    names=published_names,
    reads_colours=lambda tensors, said: (
        tensors["model.model.0.weight"].shape[1] == _RGB and said != _RGB
    ),
    layouts=("ade20k_raw", "coco_stuff_unknown_first", "cityscapes_without_edges"),
    families=("pix2pix",),
    family_of=lambda config: "pix2pix",
)
