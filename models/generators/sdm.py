# SPDX-License-Identifier: Apache-2.0
"""SDM's generator: an image from noise, in many steps through one U-Net, guided by the map.

Wang et al., "Semantic Image Synthesis via Diffusion Models", 2022, Sec. 3 (SDM); its numbers are
those of the released code. How many steps an image takes and how strongly it is guided is part of
the configuration, and may be another one than that of the training.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from spade_eval.models.diffusion import Diffusion, Follow, NoiseOf, Predict
from spade_eval.models.generators.base import check_semantics
from spade_eval.models.generators.sdm_unet import (
    Kind,
    SDMUNet,
    Stage,
    UNetConfig,
    decoder_stages,
    encoder_stages,
    heads_within,
)
from spade_eval.models.released import Hints, Published, Shapes, numbered
from spade_eval.models.semantics import SemanticMap

LARGEST_GUIDANCE = 100.0  # beyond it every value of an image is clipped to -1 or 1


class SDMGenerator(nn.Module):
    """Semantic map and noise in, image out; the network that learns is `unet`."""

    published: ClassVar[Published]

    @dataclass(frozen=True, kw_only=True)
    class Config(UNetConfig):
        training_steps: int = 1000  # T, of the chain that the network learns
        first_beta: float = 1e-4
        last_beta: float = 0.02
        sampling_steps: int = 1000  # through how many of them an image goes
        guidance: float = 1.5  # 1 takes the map as it is, 0 leaves it out

        def __post_init__(self) -> None:
            super().__post_init__()
            if not 0 < self.first_beta <= self.last_beta < 1:
                raise ValueError(
                    f"betas go from {self.first_beta} to {self.last_beta}, expected numbers "
                    "between 0 and 1, the first not larger than the last"
                )
            if not 2 <= self.sampling_steps <= self.training_steps:
                raise ValueError(
                    f"sampling_steps is {self.sampling_steps}, expected 2 to "
                    f"{self.training_steps}, the steps of the training"
                )
            if not 0 <= self.guidance <= LARGEST_GUIDANCE:
                raise ValueError(
                    f"guidance is {self.guidance}, expected 0 (without the map) to "
                    f"{LARGEST_GUIDANCE:g}; 1 is none"
                )

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.unet = SDMUNet(config)
        self.multiple = self.unet.multiple

    @property
    def to_rgb(self) -> nn.Conv2d:
        """The last convolution, which all generators have under this name."""
        return self.unet.to_noise

    @cached_property
    def diffusion(self) -> Diffusion:
        """The chain that the network learns."""
        config = self.config
        return Diffusion.linear(config.training_steps, config.first_beta, config.last_beta)

    def forward(
        self,
        semantics: SemanticMap,
        noise: NoiseOf | None = None,
        follow: Follow = iter,
        *,
        steps: int | None = None,
        guidance: float | None = None,
    ) -> Tensor:
        """Map with H, W multiples of 2**(levels - 1) -> (N, 3, H, W) in [-1, 1].

        Without `noise`, every draw is zero. `steps` and `guidance` stand in the place of the
        configuration's.
        """
        check_semantics(semantics, self.config.num_labels, self.multiple)
        weight = self.to_rgb.weight
        # Small steps add up to an image: the chain keeps its bits where the network has fewer.
        whole = torch.promote_types(weight.dtype, torch.float32)
        shape = (semantics.batch_size, 3, *semantics.size)

        def drawn(name: str) -> Tensor:
            if noise is None:
                return torch.zeros(shape, dtype=whole, device=weight.device)
            return noise(name).to(whole)

        chain = self.diffusion.respaced(steps or self.config.sampling_steps)
        return chain.sampled(self.guided(semantics, guidance), drawn, follow)

    def compile(self, *arguments: Any, **keywords: Any) -> None:
        """Compile the network that each step calls, not the chain of steps."""
        self.unet.compile(*arguments, **keywords)

    def guided(self, semantics: SemanticMap, guidance: float | None = None) -> Predict:
        """Return the prediction with classifier-free guidance (SDM, Sec. 3.4).

        The scale is that of the released code: 1 is the conditional prediction alone. The encoder,
        which does not see the map, goes once.
        """
        scale = self.config.guidance if guidance is None else guidance
        dtype = self.to_rgb.weight.dtype
        nothing = without_labels(semantics)

        def predict(x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
            encoded = self.unet.encode(x.to(dtype), t)
            noise, v = self.unet.decode(encoded, semantics).to(x.dtype).chunk(2, dim=1)
            if scale != 1:
                unconditional = self.unet.decode(encoded, nothing).to(x.dtype)[:, :3]
                noise = unconditional + scale * (noise - unconditional)
            return noise, v  # the variance is the conditional one

        return predict


def without_labels(semantics: SemanticMap) -> SemanticMap:
    """Return the map of no condition, zero in every channel: one for all images of the batch."""
    zeros = torch.zeros(
        1, semantics.num_labels, *semantics.size, dtype=semantics.dtype, device=semantics.device
    )
    return SemanticMap.from_tensor(zeros)


_EVERY_BLOCK = {"to_affine": "emb_layers.1", "skip": "skip_connection"}
_BLOCK = {
    **_EVERY_BLOCK,
    "norm_in": "in_layers.0",
    "conv_in": "in_layers.2",
    "norm_out": "out_layers.0",
    "conv_out": "out_layers.3",
}
_CONDITIONAL_BLOCK = {
    **_EVERY_BLOCK,
    "norm_in": "in_norm",
    "conv_in": "in_layers.1",
    "norm_out": "out_norm",
    "conv_out": "out_layers.2",
}
_OTHERS: dict[Kind, dict[str, str]] = {
    "conv": {},
    "attention": {"norm": "norm", "qkv": "qkv", "to_out": "proj_out"},
}


def published_names(config: UNetConfig) -> dict[str, str]:
    """Map our module names -> those of the authors' checkpoints."""
    names = {
        "unet.embed.first": "time_embed.0",
        "unet.embed.second": "time_embed.2",
        "unet.norm": "out.0",
        "unet.to_noise": "out.2",
    }
    middle = Stage(len(config.multipliers) - 1, ("block", "attention", "block"))
    names |= _names_of("unet.middle", "middle_block", middle, _CONDITIONAL_BLOCK)
    for i, stage in enumerate(encoder_stages(config)):
        names |= _names_of(f"unet.encoder.{i}", f"input_blocks.{i}", stage, _BLOCK)
    for i, stage in enumerate(decoder_stages(config)):
        names |= _names_of(f"unet.decoder.{i}", f"output_blocks.{i}", stage, _CONDITIONAL_BLOCK)
    return names


def _names_of(ours: str, theirs: str, stage: Stage, block: dict[str, str]) -> dict[str, str]:
    names = {}
    for j, kind in enumerate(stage.kinds):
        names[f"{ours}.{j}"] = f"{theirs}.{j}"
        for part, published in _OTHERS.get(kind, block).items():
            names[f"{ours}.{j}.{part}"] = f"{theirs}.{j}.{published}"
    return names


def _config_of(tensors: Shapes, hints: Hints) -> SDMGenerator.Config:
    """Infer the configuration of a state dict with published names, which does not tell heads."""
    hidden, num_labels = tensors["middle_block.0.in_norm.mlp_shared.0.weight"].shape[:2]
    base_channels = tensors["time_embed.0.weight"].shape[1]
    stages = len(numbered(tensors, "output_blocks.", "in_norm"))
    a_level = 1 + min(_enlarging(tensors), default=stages - 1)  # stages of it
    levels = range(max(1, stages // a_level))
    firsts = [1 + level * a_level for level in levels]  # stages of the encoder
    widths = [tensors[f"input_blocks.{i}.0.out_layers.3.weight"].shape[0] for i in firsts]
    if any(width % base_channels for width in widths):
        raise ValueError(
            f"its levels have {', '.join(map(str, widths))} channels, expected multiples of "
            f"{base_channels}, as the timestep's waves are; there is no such network here"
        )
    return SDMGenerator.Config(
        num_labels=num_labels,
        base_channels=base_channels,
        hidden_channels=hidden,
        multipliers=tuple(width // base_channels for width in widths),
        num_blocks=a_level - 1,
        head_channels=heads_within(base_channels),
        attention_at=tuple(
            2**level
            for level, i in zip(levels, firsts, strict=True)
            if f"input_blocks.{i}.1.qkv.weight" in tensors
        ),
    )


def _enlarging(tensors: Shapes) -> Iterator[int]:
    """Yield the stages of the decoder that end with a block that enlarges."""
    for i in numbered(tensors, "output_blocks.", "in_norm"):
        if any(f"output_blocks.{i}.{j}.in_norm.mlp_gamma.weight" in tensors for j in (1, 2)):
            yield i


SDMGenerator.published = Published(
    recognises=lambda tensors: (
        {
            "time_embed.0.weight",
            "input_blocks.0.0.weight",
            "middle_block.0.in_norm.mlp_shared.0.weight",
        }
        <= set(tensors)
    ),
    config_of=_config_of,
    names=published_names,
    layouts=(
        "ade20k_shifted", "coco_stuff", "coco_stuff_without_edges", "celebamask_hq_with_edges",
        "cityscapes", "cityscapes_without_edges",
    ),
    families=("sdm",),
    family_of=lambda config: "sdm",
)  # fmt: skip
