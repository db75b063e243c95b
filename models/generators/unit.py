# SPDX-License-Identifier: Apache-2.0
"""UNIT's generator from label maps to photos: an encoder of one domain, a decoder of the other.

Liu et al., "Unsupervised Image-to-Image Translation Networks", NeurIPS 2017, as the authors' later
repository (MUNIT's) has it. In training noise is added to the content, when it is scored it is not.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor, nn

from spade_eval.models.generators.base import check_semantics, refuse_latent
from spade_eval.models.generators.domains import (
    ContentEncoder,
    Decoder,
    DomainConfig,
    LabelPictures,
    decoder_names,
    encoder_names,
    published_sizes,
)
from spade_eval.models.released import Hints, Published, Shapes
from spade_eval.models.semantics import SemanticMap


class UNITGenerator(nn.Module):
    """Colour-coded label map in, photo out."""

    published: ClassVar[Published]

    @dataclass(frozen=True, kw_only=True)
    class Config(DomainConfig):
        def scaled(self, width: float) -> "UNITGenerator.Config":
            """Return the configuration with every number of channels times `width`."""
            return replace(self, base_channels=max(1, round(self.base_channels * width)))

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.shown = LabelPictures(config)
        self.multiple = 2**config.num_downsamplings
        sizes = (config.base_channels, config.num_downsamplings, config.num_blocks)
        self.content = ContentEncoder(*sizes)
        self.decoder = Decoder(*sizes, norm="instance")

    @property
    def to_rgb(self) -> nn.Conv2d:
        """The last convolution, which all generators have under this name."""
        return self.decoder.to_rgb.conv

    def forward(self, semantics: SemanticMap, z: Tensor | None = None) -> Tensor:
        """Map with H, W multiples of 2**num_downsamplings -> (N, 3, H, W) in [-1, 1]."""
        refuse_latent(z, "UNIT")
        check_semantics(semantics, self.config.num_labels, self.multiple)
        image: Tensor = self.decoder(self.content(self.shown(semantics)))
        return image


def published_names(config: UNITGenerator.Config) -> dict[str, str]:
    """Map our module names -> those of one domain in the authors' files."""
    return encoder_names(config, "enc") | decoder_names(config)


def _config_of(tensors: Shapes, hints: Hints) -> UNITGenerator.Config:
    """Infer the configuration of a state dict with published names."""
    return UNITGenerator.Config(**published_sizes(tensors, hints, "enc"))


UNITGenerator.published = Published(
    recognises=lambda tensors: (
        {"enc.model.0.conv.weight", "dec.model.0.model.0.model.0.conv.weight"} <= set(tensors)
    ),
    config_of=_config_of,
    names=published_names,
    of_first_domain=("enc.",),
    reads_colours=lambda tensors, said: True,
    families=("unit",),
    family_of=lambda config: "unit",
)
