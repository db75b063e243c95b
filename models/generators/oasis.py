# SPDX-License-Identifier: Apache-2.0
"""OASIS generator: SPADE's decoder whose map carries noise beside the labels.

Sushko et al., "You Only Need Adversarial Supervision for Semantic Image Synthesis", ICLR 2021,
Sec. 3.3. The noise has one value a channel and pixel ("3D noise") and stands in front of the label
channels, at the input and in every SPADE layer. The published code trains with one vector an image;
at test time it may differ from class to class or from region to region.
"""

import itertools
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.models.generators.base import check_noise, check_semantics, refuse_latent
from spade_eval.models.layers.norms import ParamFreeNorm
from spade_eval.models.layers.resblocks import BLOCK_SLOPE, SPADEResBlock
from spade_eval.models.layers.spade import norm_maker
from spade_eval.models.released import Hints, Published, Shapes
from spade_eval.models.semantics import SemanticMap

# Input and output widths of the six blocks in units of base_channels; x is doubled between them.
_WIDTHS = (16, 16, 16, 8, 4, 2, 1)
_MIN_HIDDEN_CHANNELS = 16  # below this a SPADE layer tells too few labels apart
_RELEASED_Z_DIM = 64
# Label channels of the released networks: ADE20K, COCO-Stuff, Cityscapes.
_RELEASED_LABELS = (151, 183, 35)


class OASISGenerator(nn.Module):
    """Semantic map and noise in, image out; with `z_dim=None` the map alone."""

    published: ClassVar[Published]
    multiple = 32

    @dataclass(frozen=True, kw_only=True)
    class Config:
        num_labels: int  # channels of the semantic map: "unknown" and classes, no edges
        base_channels: int = 64
        z_dim: int | None = _RELEASED_Z_DIM  # None: without 3D noise
        param_free_norm: ParamFreeNorm = "syncbatch"
        spade_kernel_size: int = 3
        hidden_channels: int = 128  # of the SPADE layers
        spectral: bool = True

        def scaled(self, width: float) -> "OASISGenerator.Config":
            """Return the configuration with every number of channels but the noise's scaled."""
            return replace(
                self,
                base_channels=max(1, round(self.base_channels * width)),
                hidden_channels=max(_MIN_HIDDEN_CHANNELS, round(self.hidden_channels * width)),
            )

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        channels = config.num_labels + (config.z_dim or 0)
        make_norm = norm_maker(
            "spade",
            channels,
            param_free=config.param_free_norm,
            kernel_size=config.spade_kernel_size,
            hidden_channels=config.hidden_channels,
        )
        widths = [multiplier * config.base_channels for multiplier in _WIDTHS]
        self.stem = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList(
            SPADEResBlock(before, after, make_norm, spectral=config.spectral)
            for before, after in itertools.pairwise(widths)
        )
        self.to_rgb = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(self, semantics: SemanticMap, z: Tensor | None = None) -> Tensor:
        """Map with H, W multiples of 32 -> (N, 3, H, W) in [-1, 1].

        `z` is (N, z_dim), the same at every pixel, or a map (N, z_dim, H, W).
        """
        check_semantics(semantics, self.config.num_labels, self.multiple)
        condition = self._condition(semantics, z)
        height, width = semantics.size
        x = self.stem(condition.at((height // self.multiple, width // self.multiple)))
        for index, block in enumerate(self.blocks):
            if index:
                x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = block(x, condition)
        rgb: Tensor = self.to_rgb(F.leaky_relu(x, BLOCK_SLOPE))
        return rgb.tanh()

    def _condition(self, semantics: SemanticMap, z: Tensor | None) -> SemanticMap:
        """Return noise and labels as the map that all layers see."""
        if self.config.z_dim is None:
            refuse_latent(z, "OASIS without 3D noise")
            return semantics
        z = check_noise(z, semantics, self.config.z_dim)
        if z.ndim == 2:
            z = z[:, :, None, None].expand(-1, -1, *semantics.size)
        labels = semantics.full
        return SemanticMap.from_tensor(torch.cat([z.to(labels.dtype), labels], dim=1))


def published_names(config: OASISGenerator.Config) -> dict[str, str]:
    """Map our module names -> those of the authors' checkpoints."""
    names = {"stem": "fc", "to_rgb": "conv_img"}
    for index in range(len(_WIDTHS) - 1):
        names[f"blocks.{index}"] = f"body.{index}"
        for norm in ("norm_0", "norm_1", "norm_s"):
            ours = f"blocks.{index}.{norm}.param_free_norm"
            names[ours] = f"body.{index}.{norm}.first_norm"
    return names


def _config_of(tensors: Shapes, hints: Hints) -> OASISGenerator.Config:
    """Infer the configuration of a state dict with published names."""
    hidden, channels, kernel_size, _ = tensors["body.0.norm_0.mlp_shared.0.weight"].shape
    num_labels = _labels_of(channels, hints)
    statistics = "body.0.norm_0.first_norm.running_mean"
    return OASISGenerator.Config(
        num_labels=num_labels,
        base_channels=tensors["conv_img.weight"].shape[1],
        z_dim=channels - num_labels or None,
        param_free_norm="syncbatch" if statistics in tensors else "instance",
        spade_kernel_size=kernel_size,
        hidden_channels=hidden,
        spectral="body.0.conv_0.weight_orig" in tensors,
    )


def _labels_of(channels: int, hints: Hints) -> int:
    """Say how many of the map's channels are labels; the others, in front of them, are noise."""
    known = _RELEASED_LABELS if hints.num_labels is None else (hints.num_labels,)
    for noise in (_RELEASED_Z_DIM, 0):
        if channels - noise in known:
            return channels - noise
    raise ValueError(
        f"the network's map has {channels} channels, expected {' or '.join(map(str, known))} "
        f"labels, alone or with {_RELEASED_Z_DIM} of noise; set the label layout that it was "
        "trained with"
    )


OASISGenerator.published = Published(
    recognises=lambda tensors: {"fc.weight", "body.0.norm_0.mlp_shared.0.weight"} <= set(tensors),
    config_of=_config_of,
    names=published_names,
    families=("oasis",),
    family_of=lambda config: "oasis",
    layouts=("ade20k_raw", "coco_stuff_unknown_first", "cityscapes_without_edges"),
)
