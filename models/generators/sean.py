# SPDX-License-Identifier: Apache-2.0
"""SEAN's generator: SPADE's decoder with ACE layers, its style encoder, and a mean style a class.

Zhu et al., "SEAN: Image Synthesis with Semantic Region-Adaptive Normalization", CVPR 2020, Sec. 3
and Fig. 4. The blocks are SPADE's; the norms of the last one have no style. The published files
hold the encoder (`Zencoder`), but no means: those are of this suite, for images without a photo.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

from torch import Tensor, nn

from spade_eval.models.encoders.region_styles import ClassMeans, RegionStyleEncoder
from spade_eval.models.generators.spade import (
    SPADEGenerator,
    Upsampling,
    published_names,
    published_sizes,
)
from spade_eval.models.labels import RELEASED_LAYOUTS
from spade_eval.models.layers.ace import ACE, NoiseAt, StyledMap
from spade_eval.models.layers.resblocks import SPADEResBlock
from spade_eval.models.layers.spade import MakeNorm
from spade_eval.models.released import Hints, Published, Shapes
from spade_eval.models.semantics import SemanticMap

_MOST_LABELS = 2048  # each has a linear layer in each of 15 norms; COCO-Stuff has 184
_MIN_CHANNELS = 16  # of codes and hidden layers, in miniatures
_RELEASED_UPSAMPLING: dict[int, Upsampling] = {
    RELEASED_LAYOUTS["celebamask_hq"].num_labels: "normal"
}


class SEANGenerator(SPADEGenerator):
    """The semantic map and a style code for each of its labels in, an image out."""

    published: ClassVar[Published]

    @dataclass(frozen=True, kw_only=True)
    class Config(SPADEGenerator.Config):
        style_channels: int = 512  # numbers of a style code
        encoder_channels: int = 32  # of the style encoder's first layer
        class_means: bool = True  # whether it keeps them; published files have none

        def __post_init__(self) -> None:
            if self.upsampling == "most":
                raise ValueError(
                    'upsampling is "most", expected "normal" or "more": SEAN\'s code makes the '
                    "eighth block of it and never calls it, so there is no such network"
                )
            if self.z_dim is not None:
                raise ValueError(
                    f"z_dim is {self.z_dim}, expected None: SEAN begins with the semantic map, and "
                    "its style codes are no latent"
                )
            if self.num_labels > _MOST_LABELS:
                raise ValueError(
                    f"num_labels is {self.num_labels}, expected at most {_MOST_LABELS}: SEAN has a "
                    "linear layer for each in each of 15 norms"
                )

        def scaled(self, width: float) -> "SEANGenerator.Config":
            """Return the configuration with every number of channels times `width`."""
            return replace(
                self,
                base_channels=max(1, round(self.base_channels * width)),
                hidden_channels=max(_MIN_CHANNELS, round(self.hidden_channels * width)),
                style_channels=max(_MIN_CHANNELS, round(self.style_channels * width)),
                encoder_channels=max(4, round(self.encoder_channels * width)),
            )

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.encoder = RegionStyleEncoder(config.encoder_channels, config.style_channels)
        if config.class_means:
            self.class_means = ClassMeans(config.num_labels, config.style_channels)
        for name, layer in self.named_modules():
            if isinstance(layer, ACE):
                layer.name = name

    def _norm_maker(self, *, styled: bool = True) -> MakeNorm:
        config = self.config
        return partial(
            ACE,
            num_labels=config.num_labels,
            styled=styled,
            style_channels=config.style_channels,
            param_free=config.param_free_norm,
            kernel_size=config.spade_kernel_size,
            hidden_channels=config.hidden_channels,
        )

    def _make_blocks(self) -> nn.ModuleList:
        blocks = super()._make_blocks()
        width = self.config.base_channels
        spectral = self.config.spectral
        plain = self._norm_maker(styled=False)
        blocks[-1] = SPADEResBlock(2 * width, width, plain, spectral=spectral)
        return blocks

    def forward(
        self, semantics: SemanticMap, codes: Tensor | None = None, noise: NoiseAt | None = None
    ) -> Tensor:
        """Map with H, W multiples of 32 or 64 -> (N, 3, H, W) in [-1, 1].

        `codes` is (N, num_labels, style_channels), of `encode`; without them every label has its
        class mean. Without `noise`, no layer adds any.
        """
        if codes is None:
            codes = self._means().codes.expand(semantics.batch_size, -1, -1)
        return super().forward(StyledMap.of(semantics, codes, noise))

    def encode(self, photos: Tensor, semantics: SemanticMap) -> tuple[Tensor, Tensor]:
        """Return the codes of photos, and which labels these have; see `RegionStyleEncoder`."""
        codes, present = self.encoder(photos, semantics)
        return codes, present

    def styles(self, photos: Tensor, semantics: SemanticMap) -> Tensor:
        """Return the codes of photos (N, num_labels, style_channels), for other label maps.

        A label that a photo lacks has its class mean, or zeros where the network keeps none.
        """
        codes, present = self.encode(photos, semantics)
        return self.class_means.completed(codes, present) if self.config.class_means else codes

    def _means(self) -> ClassMeans:
        if not self.config.class_means:
            raise ValueError(
                "the network keeps no class means (published files have none), and no style codes "
                "were given; give a photo with its label map"
            )
        return self.class_means


def _published_names(config: SEANGenerator.Config) -> dict[str, str]:
    """Map our module names -> those of the authors' checkpoints."""
    names = published_names(config) | {"encoder": "Zencoder"}
    for block in [name for name in names if name.startswith("blocks.")]:
        for part in ("0", "1", "s"):
            names[f"{block}.norm_{part}"] = f"{names[block]}.ace_{part}"
    return names


def _config_of(tensors: Shapes, hints: Hints) -> SEANGenerator.Config:
    """Infer the configuration of a state dict with published names."""
    ace = "head_0.ace_0"
    hidden, num_labels, kernel_size, _ = tensors[f"{ace}.Spade.mlp_shared.0.weight"].shape
    upsampling = hints.upsampling or _RELEASED_UPSAMPLING.get(num_labels)
    sizes = published_sizes(tensors, replace(hints, upsampling=upsampling), num_labels)
    has_statistics = f"{ace}.param_free_norm.running_mean" in tensors
    return SEANGenerator.Config(
        **{**sizes, "param_free_norm": "syncbatch" if has_statistics else "instance"},
        spade_kernel_size=kernel_size,
        hidden_channels=hidden,
        style_channels=tensors["Zencoder.model.14.weight"].shape[0],
        encoder_channels=tensors["Zencoder.model.1.weight"].shape[0],
        class_means=False,
    )


SEANGenerator.published = Published(
    recognises=lambda tensors: (
        {"fc.weight", "head_0.ace_0.Spade.mlp_shared.0.weight"} <= set(tensors)
    ),
    config_of=_config_of,
    names=_published_names,
    layouts=("celebamask_hq",),
    families=("sean",),
    family_of=lambda config: "sean",
)
