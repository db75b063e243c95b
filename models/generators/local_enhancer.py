# SPDX-License-Identifier: Apache-2.0
"""pix2pixHD's local enhancer: a global generator at low resolution, refined step by step.

Wang et al., CVPR 2018, Sec. 3.1 and Fig. 3 (the 1024 x 2048 network).
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.models.generators.base import check_semantics, refuse_latent
from spade_eval.models.generators.pix2pixhd import (
    ConvNormMaker,
    Pix2PixHDGenerator,
    Trunk,
    block_names,
    conv_norm_names,
    family_of,
    is_published,
    join_features,
    published_sizes,
    published_step,
    reflect_conv,
    trunk_names,
)
from spade_eval.models.layers.norms import make_condition
from spade_eval.models.released import Hints, Published, Shapes, numbered
from spade_eval.models.semantics import SemanticMap


class LocalEnhancerGenerator(nn.Module):
    """`num_enhancers` refinements, each doubling the resolution of the global generator's trunk."""

    published: ClassVar[Published]

    @dataclass(frozen=True, kw_only=True)
    class Config(Pix2PixHDGenerator.Config):
        base_channels: int = 32  # at full resolution; the trunk has 2**num_enhancers times that
        num_enhancers: int = 1
        num_local_blocks: int = 3

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.multiple = 2 ** (config.num_downsamplings + config.num_enhancers)
        self.condition = make_condition(config.norm, config.num_labels)
        self.trunk = Trunk(trunk_config(config))
        self.enhancers = nn.ModuleList(
            Enhancer(config, config.base_channels * 2 ** (config.num_enhancers - n))
            for n in range(1, config.num_enhancers + 1)
        )
        self.to_rgb = reflect_conv(config.base_channels, 3, config.outer_kernel_size)

    def forward(
        self, semantics: SemanticMap, z: Tensor | None = None, features: Tensor | None = None
    ) -> Tensor:
        """Map with H, W multiples of 2**(downsamplings + enhancers) -> (N, 3, H, W) in [-1, 1]."""
        refuse_latent(z, "pix2pixHD")
        check_semantics(semantics, self.config.num_labels, self.multiple)
        finest = join_features(semantics, features, self.config.num_features)
        pyramid = [semantics.full if finest is None else finest]
        for _ in self.enhancers:
            pyramid.append(
                F.avg_pool2d(pyramid[-1], 3, stride=2, padding=1, count_include_pad=False)
            )
        inputs: list[Tensor | None] = [*reversed(pyramid)]
        if self.condition is not None:
            semantics = self.condition(semantics)
        else:
            inputs[-1] = finest
        x: Tensor = self.trunk(inputs[0], semantics)
        for enhancer, level in zip(self.enhancers, inputs[1:], strict=True):
            x = enhancer(level, x, semantics)
        rgb: Tensor = self.to_rgb(x)
        return rgb.tanh()


class Enhancer(nn.Module):
    """Fuses the coarser features with this resolution's input and doubles their size."""

    def __init__(self, config: LocalEnhancerGenerator.Config, channels: int) -> None:
        super().__init__()
        make = ConvNormMaker(config)
        inputs = config.num_labels + config.num_features
        self.stem = make.stem(inputs, channels)
        self.down = make.down(channels, 2 * channels)
        self.blocks = nn.ModuleList(
            make.block(2 * channels) for _ in range(config.num_local_blocks)
        )
        self.up = make.up(2 * channels, channels)

    def forward(self, x: Tensor | None, coarse: Tensor, semantics: SemanticMap) -> Tensor:
        """Map x and coarse (N, 2 * channels, H / 2, W / 2) -> (N, channels, H, W).

        x is (N, inputs, H, W), or None for the map itself.
        """
        x = self.stem(x, semantics)
        x = self.down(x, semantics) + coarse
        for block in self.blocks:
            x = block(x, semantics)
        upsampled: Tensor = self.up(x, semantics)
        return upsampled


def trunk_config(config: LocalEnhancerGenerator.Config) -> LocalEnhancerGenerator.Config:
    """Return the configuration of the global generator inside: wider by two per enhancer."""
    return replace(config, base_channels=config.base_channels * 2**config.num_enhancers)


def published_names(config: LocalEnhancerGenerator.Config) -> dict[str, str]:
    """Map our module names to the published ones: `model`, `model1_1`, `model1_2`..."""
    step = published_step(config)
    names = trunk_names(trunk_config(config), "trunk", "model")
    for n in range(1, config.num_enhancers + 1):
        ours, theirs = f"enhancers.{n - 1}", f"model{n}"
        names |= conv_norm_names(f"{ours}.stem", f"{theirs}_1.1", step)
        names |= conv_norm_names(f"{ours}.down", f"{theirs}_1.{1 + step}", step)
        for block in range(config.num_local_blocks):
            names |= block_names(f"{ours}.blocks.{block}", f"{theirs}_2.{block}", step)
        names |= conv_norm_names(f"{ours}.up", f"{theirs}_2.{config.num_local_blocks}", step)
    last = config.num_local_blocks + step + 1
    return names | {"to_rgb": f"model{config.num_enhancers}_2.{last}"}


def _config_of(tensors: Shapes, hints: Hints) -> LocalEnhancerGenerator.Config:
    """Infer the configuration of a state dict with published names."""
    settings = published_sizes(tensors, hints.num_features)
    enhancers = 1
    while f"model{enhancers + 1}_1.1.weight" in tensors:
        enhancers += 1
    settings["base_channels"] //= 2**enhancers
    settings["num_enhancers"] = enhancers
    settings["num_local_blocks"] = len(numbered(tensors, "model1_2.", ".conv_block."))
    return LocalEnhancerGenerator.Config(**settings)


LocalEnhancerGenerator.published = Published(
    recognises=lambda tensors: is_published(tensors) and "model1_1.1.weight" in tensors,
    config_of=_config_of,
    names=published_names,
    families=("pix2pixhd", "pix2pixhdpp"),
    family_of=family_of,
)
