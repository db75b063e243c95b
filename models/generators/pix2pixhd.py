# SPDX-License-Identifier: Apache-2.0
"""pix2pixHD's global generator, and pix2pixHD++ with its Concat and SPADE variants.

Wang et al., "High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs",
CVPR 2018, Sec. 3.1. pix2pixHD++ is the baseline of Park et al., Table 3 and Appendix B: the same
network with spectral norm, synchronised batch norm and the training of SPADE.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from spade_eval.models.generators.base import check_semantics, refuse_latent
from spade_eval.models.layers.norms import NormKind, ParamFreeNorm, make_condition
from spade_eval.models.layers.resblocks import ConvNorm, ReflectResBlock
from spade_eval.models.layers.semantic_convolution import SemanticConv2d
from spade_eval.models.layers.spade import MakeNorm, norm_maker
from spade_eval.models.layers.weight_norm import convolution_norm
from spade_eval.models.released import Published, Shapes, numbered
from spade_eval.models.semantics import SemanticMap


class Pix2PixHDGenerator(nn.Module):
    """Encoder, residual blocks and decoder on the semantic map at full resolution."""

    published: ClassVar[Published]

    @dataclass(frozen=True, kw_only=True)
    class Config:
        num_labels: int  # channels of the semantic map: classes, "unknown", instance edges
        num_features: int = 0  # channels of the instance-wise feature map (pix2pixHD Sec. 3.4)
        base_channels: int = 64
        num_downsamplings: int = 4
        num_blocks: int = 9
        block_kernel_size: int = 3
        outer_kernel_size: int = 7
        norm: NormKind = "instance"
        param_free_norm: ParamFreeNorm = "syncbatch"  # inside SPADE layers, as the two below
        spade_kernel_size: int = 3
        hidden_channels: int = 128
        spectral: bool = False  # on every convolution but the last
        conv_bias: bool = True  # of the convolutions that a norm follows
        concat: bool = False  # the map joins the input of each block's first convolution

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.multiple = 2**config.num_downsamplings
        self.condition = make_condition(config.norm, config.num_labels)
        self.trunk = Trunk(config)
        self.to_rgb = reflect_conv(config.base_channels, 3, config.outer_kernel_size)

    def forward(
        self, semantics: SemanticMap, z: Tensor | None = None, features: Tensor | None = None
    ) -> Tensor:
        """Map with H, W multiples of 2**num_downsamplings -> (N, 3, H, W) in [-1, 1].

        `features` (N, num_features, H, W) where the configuration has any; z is never taken.
        """
        refuse_latent(z, "pix2pixHD")
        check_semantics(semantics, self.config.num_labels, self.multiple)
        x = join_features(semantics, features, self.config.num_features)
        if self.condition is not None:
            x = semantics.full if x is None else x
            semantics = self.condition(semantics)
        rgb: Tensor = self.to_rgb(self.trunk(x, semantics))
        return rgb.tanh()


class Trunk(nn.Module):
    """All of the global generator but its last convolution; the local enhancer builds on it."""

    def __init__(self, config: Pix2PixHDGenerator.Config) -> None:
        super().__init__()
        make = ConvNormMaker(config)
        width, depth = config.base_channels, config.num_downsamplings
        inputs = config.num_labels + config.num_features
        self.stem = make.stem(inputs, width)
        self.down = nn.ModuleList(
            make.down(width * 2**i, width * 2 ** (i + 1)) for i in range(depth)
        )
        self.blocks = nn.ModuleList(make.block(width * 2**depth) for _ in range(config.num_blocks))
        self.up = nn.ModuleList(
            make.up(width * 2**i, width * 2 ** (i - 1)) for i in range(depth, 0, -1)
        )

    def forward(self, x: Tensor | None, semantics: SemanticMap) -> Tensor:
        """Map (N, num_labels + num_features, H, W) -> (N, base_channels, H, W).

        None stands for the semantic map at its own size.
        """
        x = self.stem(x, semantics)
        for layer in self.down:
            x = layer(x, semantics)
        for block in self.blocks:
            x = block(x, semantics)
        for layer in self.up:
            x = layer(x, semantics)
        return x


class ConvNormMaker:
    """Builds the convolutions of one generator: bias, spectral norm and norm as configured."""

    def __init__(self, config: Pix2PixHDGenerator.Config) -> None:
        self.config = config
        self.make_norm: MakeNorm = norm_maker(
            config.norm,
            config.num_labels,
            param_free=config.param_free_norm,
            kernel_size=config.spade_kernel_size,
            hidden_channels=config.hidden_channels,
        )

    def stem(self, in_channels: int, out_channels: int) -> ConvNorm:
        """Build the first convolution of the semantic map (with features)."""
        config = self.config
        conv = SemanticConv2d(
            in_channels,
            out_channels,
            config.outer_kernel_size,
            padding=config.outer_kernel_size // 2,
            padding_mode="reflect",
            bias=config.conv_bias,
        )
        return self._wrap(conv, out_channels)

    def reflect(self, in_channels: int, out_channels: int, *, relu: bool) -> ConvNorm:
        config = self.config
        conv = reflect_conv(in_channels, out_channels, config.block_kernel_size, config.conv_bias)
        return self._wrap(conv, out_channels, relu=relu)

    def down(self, in_channels: int, out_channels: int) -> ConvNorm:
        bias = self.config.conv_bias
        conv = nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1, bias=bias)
        return self._wrap(conv, out_channels)

    def up(self, in_channels: int, out_channels: int) -> ConvNorm:
        conv = nn.ConvTranspose2d(
            in_channels, out_channels, 3, stride=2, padding=1, output_padding=1,
            bias=self.config.conv_bias,
        )  # fmt: skip
        return self._wrap(conv, out_channels)

    def block(self, channels: int) -> ReflectResBlock:
        config = self.config
        extra = config.num_labels if config.concat else 0
        return ReflectResBlock(
            self.reflect(channels + extra, channels, relu=True),
            self.reflect(channels, channels, relu=False),
            concat=config.concat,
        )

    def _wrap(self, conv: nn.Module, channels: int, *, relu: bool = True) -> ConvNorm:
        norm = self.make_norm(channels)
        wrap = convolution_norm(norm, spectral=self.config.spectral)
        return ConvNorm(wrap(conv), norm, relu=relu)


def reflect_conv(
    in_channels: int, out_channels: int, kernel_size: int, bias: bool = True
) -> nn.Conv2d:
    """Build a convolution that keeps the size, with reflection padding."""
    return nn.Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        padding=kernel_size // 2,
        padding_mode="reflect",
        bias=bias,
    )


def join_features(
    semantics: SemanticMap, features: Tensor | None, num_features: int
) -> Tensor | None:
    """Return (N, num_labels + num_features, H, W), None for the map without features.

    `ValueError` if the features do not fit.
    """
    expected = (semantics.batch_size, num_features, *semantics.size)
    if (features is None) != (num_features == 0) or (
        features is not None and tuple(features.shape) != expected
    ):
        given = "no features" if features is None else f"features of shape {tuple(features.shape)}"
        wanted = f"features of shape {expected}" if num_features else "none"
        raise ValueError(f"{given} given, expected {wanted}; num_features is {num_features}")
    return None if features is None else torch.cat([semantics.full, features], dim=1)


def published_names(config: Pix2PixHDGenerator.Config) -> dict[str, str]:
    """Map our module names to those of the published checkpoints (one numbered sequence).

    pix2pixHD numbers convolution, norm and activation on their own; the SPADE repository's
    pix2pixHD++ puts convolution and norm into one place, as children 0 and 1.
    """
    step = published_step(config)
    last = step * (1 + 2 * config.num_downsamplings) + config.num_blocks + 2
    return {**trunk_names(config, "trunk", "model"), "to_rgb": f"model.{last}"}


def published_step(config: Pix2PixHDGenerator.Config) -> int:
    """Return how many numbers convolution, norm and activation take together."""
    return 2 if config.spectral else 3


def trunk_names(config: Pix2PixHDGenerator.Config, ours: str, theirs: str) -> dict[str, str]:
    """Map the trunk's convolutions and norms to published names."""
    step = published_step(config)
    depth = range(config.num_downsamplings)
    names: dict[str, str] = {}
    index = 1  # 0 is the padding of the first convolution
    for layer in [f"{ours}.stem", *(f"{ours}.down.{i}" for i in depth)]:
        names |= conv_norm_names(layer, f"{theirs}.{index}", step)
        index += step
    for block in range(config.num_blocks):
        names |= block_names(f"{ours}.blocks.{block}", f"{theirs}.{index}", step)
        index += 1
    for i in depth:
        names |= conv_norm_names(f"{ours}.up.{i}", f"{theirs}.{index}", step)
        index += step
    return names


def block_names(ours: str, theirs: str, step: int) -> dict[str, str]:
    """Name a residual block: padding, convolution, norm, relu, padding, convolution, norm."""
    first = conv_norm_names(f"{ours}.first", f"{theirs}.conv_block.1", step)
    return first | conv_norm_names(f"{ours}.second", f"{theirs}.conv_block.{2 + step}", step)


def conv_norm_names(ours: str, theirs: str, step: int) -> dict[str, str]:
    """Name a convolution and the norm after it, which has entries only where it is affine."""
    if step == 2:
        return {f"{ours}.conv": f"{theirs}.0", f"{ours}.norm": f"{theirs}.1"}
    parent, _, index = theirs.rpartition(".")
    return {f"{ours}.conv": theirs, f"{ours}.norm": f"{parent}.{int(index) + 1}"}


def published_sizes(tensors: Shapes, num_features: int) -> dict[str, Any]:
    """Infer the global generator's sizes, which the local enhancer has under the same names."""
    paired = "model.1.0.weight_orig" in tensors
    first = tensors["model.1.0.weight_orig" if paired else "model.1.weight"]
    numbers = numbered(tensors, "model.", ".conv_block.")
    norm = "instance"
    if "model.1.1.weight" in tensors or "model.2.weight" in tensors:
        norm = "syncbatch"
    suffix = "1.0.weight_orig" if paired else "1.weight"
    settings: dict[str, Any] = {
        "num_labels": first.shape[1] - num_features,
        "num_features": num_features,
        "base_channels": first.shape[0],
        "num_blocks": len(numbers),
        "num_downsamplings": (min(numbers, default=1) - 1) // (2 if paired else 3) - 1,
        "outer_kernel_size": first.shape[-1],
        "norm": norm,
        "spectral": paired,
        "conv_bias": not paired,
    }
    if not numbers:
        raise ValueError("no residual blocks (model.*.conv_block) found: not a generator's file")
    block = tensors.get(f"model.{min(numbers)}.conv_block.{suffix}")
    if block is not None:
        settings["block_kernel_size"] = block.shape[-1]
    return settings


def is_published(tensors: Shapes) -> bool:
    """Return whether a state dict holds a global generator, alone or in a local enhancer."""
    has_stem = bool({"model.1.weight", "model.1.0.weight_orig"} & set(tensors))
    # pix2pixHD's feature encoder has the same stem, and no residual blocks.
    return has_stem and any(".conv_block." in name for name in tensors)


def reads_images(tensors: Shapes) -> bool:
    """Return whether a global generator is CycleGAN's: three channels in, two downsamplings."""
    stem, first_block = "model.1.weight", "model.10.conv_block.1.weight"  # after 3 x 3 layers
    if not {stem, first_block} <= set(tensors) or "model.9.conv_block.1.weight" in tensors:
        return False
    return tensors[stem].shape[1] == 3 and "model.2.weight" not in tensors  # no affine norms


def family_of(config: Pix2PixHDGenerator.Config) -> str:
    """Return whose network it is: pix2pixHD++, Park et al.'s baseline, normalises spectrally."""
    return "pix2pixhdpp" if config.spectral else "pix2pixhd"


Pix2PixHDGenerator.published = Published(
    recognises=lambda tensors: (
        is_published(tensors) and "model1_1.1.weight" not in tensors and not reads_images(tensors)
    ),
    config_of=lambda tensors, hints: Pix2PixHDGenerator.Config(
        **published_sizes(tensors, hints.num_features)
    ),
    names=published_names,
    families=("pix2pixhd", "pix2pixhdpp"),
    family_of=family_of,
)
