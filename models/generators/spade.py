# SPDX-License-Identifier: Apache-2.0
"""SPADE generator (GauGAN): semantic map in, image out.

Park et al., "Semantic Image Synthesis with Spatially-Adaptive Normalization", CVPR 2019, Fig. 12,
with the published code's depth: 5, 6 or 7 upsamplings and none after the last block. The
"decoder w/ Concat" baseline of Table 3 is the same network with plain norms and `concat=True`.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, cast

import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.models.generators.base import (
    check_latent,
    check_semantics,
    check_size,
    refuse_latent,
)
from spade_eval.models.labels import Size
from spade_eval.models.layers.norms import NormKind, ParamFreeNorm, make_condition
from spade_eval.models.layers.resblocks import SPADEResBlock
from spade_eval.models.layers.spade import MakeNorm, norm_maker
from spade_eval.models.released import Hints, Published, Shapes
from spade_eval.models.semantics import SemanticMap

Upsampling = Literal["normal", "more", "most"]

NUM_UPSAMPLINGS: dict[str, int] = {"normal": 5, "more": 6, "most": 7}

# Output width of the seven blocks in units of base_channels; "most" adds one of half a unit.
_WIDTHS = (16, 16, 16, 8, 4, 2, 1)
# Blocks before which x is doubled in size; "more" and "most" double before the third one too.
_DOUBLED = {"normal": (1, 3, 4, 5, 6), "more": (1, 2, 3, 4, 5, 6), "most": (1, 2, 3, 4, 5, 6, 7)}
# The authors' checkpoints name the blocks one by one; these are the same modules in order.
_PUBLISHED_BLOCKS = ("head_0", "G_middle_0", "G_middle_1", "up_0", "up_1", "up_2", "up_3", "up_4")


# Five and six upsamplings have equal shapes; these are the released networks' by label channels.
_RELEASED_UPSAMPLING: dict[int, Upsampling] = {184: "normal", 151: "normal", 36: "more"}


class SPADEGenerator(nn.Module):
    """Segmentation-map input (`z_dim=None`) or latent input; both see the map in every block."""

    published: ClassVar[Published]

    @dataclass(frozen=True, kw_only=True)
    class Config:
        num_labels: int  # channels of the semantic map: classes, "unknown", instance edges
        base_channels: int = 64
        upsampling: Upsampling = "normal"
        z_dim: int | None = None  # None: the resized map is the input; the paper's latent is 256
        image_size: Size = (256, 256)  # (height, width), of the latent-input variant alone
        norm: NormKind = "spade"
        param_free_norm: ParamFreeNorm = "syncbatch"
        spade_kernel_size: int = 3
        hidden_channels: int = 128  # of the SPADE layers; does not follow base_channels
        spectral: bool = True
        concat: bool = False  # the map joins the input of every convolution of the blocks

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.multiple = 2 ** NUM_UPSAMPLINGS[config.upsampling]
        self.condition = make_condition(config.norm, config.num_labels)
        width = _WIDTHS[0] * config.base_channels
        self.stem: nn.Module
        if config.z_dim is None:
            self.stem = nn.Conv2d(config.num_labels, width, 3, padding=1)
        else:
            check_size(config.image_size, self.multiple)
            height_0, width_0 = (side // self.multiple for side in config.image_size)
            self.stem = nn.Linear(config.z_dim, width * height_0 * width_0)
        self.blocks = self._make_blocks()
        self.to_rgb = nn.Conv2d(_block_widths(config)[-1], 3, 3, padding=1)

    def _norm_maker(self) -> MakeNorm:
        config = self.config
        return norm_maker(
            config.norm,
            config.num_labels,
            param_free=config.param_free_norm,
            kernel_size=config.spade_kernel_size,
            hidden_channels=config.hidden_channels,
        )

    def _make_blocks(self) -> nn.ModuleList:
        config, make_norm = self.config, self._norm_maker()
        blocks = nn.ModuleList()
        widths = _block_widths(config)
        for in_channels, out_channels in zip([widths[0], *widths[:-1]], widths, strict=True):
            blocks.append(
                SPADEResBlock(
                    in_channels,
                    out_channels,
                    make_norm,
                    spectral=config.spectral,
                    concat_channels=config.num_labels if config.concat else 0,
                )
            )
        return blocks

    def forward(self, semantics: SemanticMap, z: Tensor | None = None) -> Tensor:
        """Map with H, W multiples of 32, 64 or 128 (and z (N, z_dim)) -> (N, 3, H, W) in [-1, 1].

        The latent-input variant gives `config.image_size`, which the map must have as well.
        """
        check_semantics(semantics, self.config.num_labels, self.multiple)
        x = self._start(semantics, z)
        if self.condition is not None:
            semantics = self.condition(semantics)
        doubled = _DOUBLED[self.config.upsampling]
        for index, block in enumerate(self.blocks):
            if index in doubled:
                x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = block(x, semantics)
        rgb: Tensor = self.to_rgb(F.leaky_relu(x, 0.2, inplace=True))
        return rgb.tanh()

    def _start(self, semantics: SemanticMap, z: Tensor | None) -> Tensor:
        """Return (N, 16 * base_channels, H / multiple, W / multiple)."""
        config = self.config
        start = (semantics.size[0] // self.multiple, semantics.size[1] // self.multiple)
        if config.z_dim is None:
            refuse_latent(z, "this generator")
            x: Tensor = self.stem(semantics.at(start))
            return x
        if semantics.size != tuple(config.image_size):  # a list, when read from JSON
            raise ValueError(
                f"the semantic map is {semantics.size}, expected {config.image_size}, the "
                "fixed size of this latent-input generator; resize the map or build with that one"
            )
        z = check_latent(z, semantics.batch_size, config.z_dim)
        return self.stem(z).view(z.shape[0], -1, *start)


def _block_widths(config: SPADEGenerator.Config) -> list[int]:
    widths = [multiplier * config.base_channels for multiplier in _WIDTHS]
    return widths + [config.base_channels // 2] * (config.upsampling == "most")


def published_names(config: SPADEGenerator.Config) -> dict[str, str]:
    """Map our module names -> those of the authors' checkpoints."""
    names = {"stem": "fc", "to_rgb": "conv_img"}
    for index in range(len(_block_widths(config))):
        names[f"blocks.{index}"] = _PUBLISHED_BLOCKS[index]
    return names


def _config_of(tensors: Shapes, hints: Hints) -> SPADEGenerator.Config:
    """Infer the configuration of a state dict with published names."""
    hidden_channels, num_labels, kernel_size, _ = tensors["head_0.norm_0.mlp_shared.0.weight"].shape
    return SPADEGenerator.Config(
        **published_sizes(tensors, hints, num_labels),
        spade_kernel_size=kernel_size,
        hidden_channels=hidden_channels,
    )


def published_sizes(tensors: Shapes, hints: Hints, num_labels: int) -> dict[str, Any]:
    """Infer what a decoder of this form is, whatever its conditional norms are."""
    upsampling, image_size = cast("Upsampling | None", hints.upsampling), hints.image_size
    start = tensors["fc.weight"]
    base_channels = tensors["head_0.conv_0.bias"].numel() // 16
    has_latent = start.ndim == 2
    pixels = start.shape[0] // (16 * base_channels) if has_latent else 1
    if upsampling is None:
        upsampling = _upsampling_of(tensors, num_labels, pixels if has_latent else 0, image_size)
    scale = 2 ** NUM_UPSAMPLINGS[upsampling]
    if image_size is None:  # a square, where the latent input says how large
        side = round(pixels**0.5)
        image_size = (scale * side, scale * side) if has_latent else (256, 256)
    if has_latent and image_size[0] * image_size[1] != pixels * scale**2:
        raise ValueError(
            f"the latent input makes {pixels} pixels, which {upsampling!r} upsampling turns into "
            f"{pixels * scale**2}, but image_size is {image_size}; set image_size (height, width)"
        )
    statistics = "head_0.norm_0.param_free_norm.running_mean"
    return {
        "num_labels": num_labels,
        "base_channels": base_channels,
        "upsampling": upsampling,
        "z_dim": start.shape[1] if has_latent else None,
        "image_size": image_size,
        "param_free_norm": "syncbatch" if statistics in tensors else "instance",
        "spectral": "head_0.conv_0.weight_orig" in tensors,
    }


def _upsampling_of(
    tensors: Shapes, num_labels: int, latent_pixels: int, image_size: Size | None
) -> Upsampling:
    if "up_4.conv_0.bias" in tensors:
        return "most"
    choices: tuple[Upsampling, ...] = ("normal", "more")
    if latent_pixels and image_size is not None:
        for choice in choices:
            if latent_pixels * 4 ** NUM_UPSAMPLINGS[choice] == image_size[0] * image_size[1]:
                return choice
    if num_labels not in _RELEASED_UPSAMPLING:
        raise ValueError(
            "five and six upsamplings have the same shapes: set upsampling to 'normal' or 'more'"
            + (" or give image_size" if latent_pixels else "")
        )
    return _RELEASED_UPSAMPLING[num_labels]


def _is_published(tensors: Shapes) -> bool:
    return {"fc.weight", "head_0.norm_0.mlp_shared.0.weight"} <= set(tensors)


SPADEGenerator.published = Published(
    recognises=_is_published,
    config_of=_config_of,
    names=published_names,
    families=("spade",),
    family_of=lambda config: "spade",
)
