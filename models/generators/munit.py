# SPDX-License-Identifier: Apache-2.0
"""MUNIT's generator from label maps to photos, with a style that is drawn or taken from a photo.

Huang et al., "Multimodal Unsupervised Image-to-Image Translation", ECCV 2018, Sec. 3 and 4.1 and
Appendix B: the content encoder of one domain, and of the other a style encoder, and a decoder whose
adaptive instance norms take shift and scale from the style.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.models.generators.base import check_latent, check_semantics
from spade_eval.models.generators.domains import (
    ContentEncoder,
    Decoder,
    DomainConfig,
    LabelPictures,
    decoder_names,
    encoder_names,
    published_sizes,
)
from spade_eval.models.layers.domains import Affine, PaddedConv
from spade_eval.models.released import Hints, Published, Shapes
from spade_eval.models.semantics import SemanticMap

# Output widths of the style encoder in units of base_channels.
_STYLE_WIDTHS = (1, 2, 4, 4, 4)


class MUNITGenerator(nn.Module):
    """Colour-coded label map and style in, photo out."""

    published: ClassVar[Published]

    @dataclass(frozen=True, kw_only=True)
    class Config(DomainConfig):
        z_dim: int = 8  # numbers of a style
        hidden_channels: int = 256  # of what makes shifts and scales of a style

        def scaled(self, width: float) -> "MUNITGenerator.Config":
            """Return the configuration with every number of channels but the style's scaled."""
            return replace(
                self,
                base_channels=max(1, round(self.base_channels * width)),
                hidden_channels=max(1, round(self.hidden_channels * width)),
            )

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.shown = LabelPictures(config)
        self.multiple = 2**config.num_downsamplings
        sizes = (config.base_channels, config.num_downsamplings, config.num_blocks)
        self.content = ContentEncoder(*sizes)
        self.style = StyleEncoder(config.base_channels, config.z_dim)
        self.channels = config.base_channels * 2**config.num_downsamplings
        given = 2 * 2 * config.num_blocks * self.channels  # shift and scale, two norms a block
        self.mlp = StyleMLP(config.z_dim, config.hidden_channels, given)
        self.decoder = Decoder(*sizes, norm="given")

    @property
    def to_rgb(self) -> nn.Conv2d:
        """The last convolution, which all generators have under this name."""
        return self.decoder.to_rgb.conv

    def forward(self, semantics: SemanticMap, z: Tensor | None = None) -> Tensor:
        """Map with H, W multiples of 2**num_downsamplings -> (N, 3, H, W) in [-1, 1].

        `z` (N, z_dim) is the style: drawn from N(0, 1), or what `style` makes of a photo.
        """
        check_semantics(semantics, self.config.num_labels, self.multiple)
        z = check_latent(z, semantics.batch_size, self.config.z_dim)
        return self.decode(self.content(self.shown(semantics)), z)

    def decode(self, content: Tensor, z: Tensor) -> Tensor:
        """Map content (N, C, h, w) and style (N, z_dim) -> (N, 3, H, W) in [-1, 1]."""
        image: Tensor = self.decoder(content, self._affines(self.mlp(z)))
        return image

    def _affines(self, numbers: Tensor) -> Iterator[Affine]:
        """Yield shift and scale of every adaptive norm, in the order of the modules."""
        for pair in numbers.split(2 * self.channels, dim=1):
            shift, scale = pair.chunk(2, dim=1)
            yield shift, scale


class StyleEncoder(nn.Module):
    """Convolutions without norms, which would remove what a style is, and the mean over pixels."""

    def __init__(self, base_channels: int, z_dim: int) -> None:
        super().__init__()
        widths = [width * base_channels for width in _STYLE_WIDTHS]
        halving = (
            PaddedConv(before, after, 4, stride=2) for before, after in itertools.pairwise(widths)
        )
        self.layers = nn.Sequential(PaddedConv(3, widths[0], 7), *halving)
        self.to_style = nn.Conv2d(widths[-1], z_dim, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Map (N, 3, H, W) in [-1, 1] -> style (N, z_dim)."""
        style: Tensor = self.to_style(self.layers(image).mean(dim=(2, 3), keepdim=True))
        return style[:, :, 0, 0]


class StyleMLP(nn.Module):
    """Three linear layers from a style to all shifts and scales."""

    def __init__(self, z_dim: int, hidden_channels: int, out_channels: int) -> None:
        super().__init__()
        widths = (z_dim, hidden_channels, hidden_channels, out_channels)
        self.layers = nn.ModuleList(
            nn.Linear(before, after) for before, after in itertools.pairwise(widths)
        )

    def forward(self, z: Tensor) -> Tensor:
        """Map (N, z_dim) -> (N, out_channels)."""
        first, second, last = self.layers
        numbers: Tensor = last(F.relu(second(F.relu(first(z)))))
        return numbers


def published_names(config: MUNITGenerator.Config) -> dict[str, str]:
    """Map our module names -> those of one domain in the authors' files."""
    return {
        **encoder_names(config, "enc_content"),
        **{f"style.layers.{i}": f"enc_style.model.{i}" for i in range(len(_STYLE_WIDTHS))},
        "style.to_style": f"enc_style.model.{len(_STYLE_WIDTHS) + 1}",
        **{f"mlp.layers.{i}": f"mlp.model.{i}.fc" for i in range(3)},
        **decoder_names(config),
    }


def _config_of(tensors: Shapes, hints: Hints) -> MUNITGenerator.Config:
    """Infer the configuration of a state dict with published names."""
    hidden_channels, z_dim = tensors["mlp.model.0.fc.weight"].shape
    return MUNITGenerator.Config(
        **published_sizes(tensors, hints, "enc_content"),
        z_dim=z_dim,
        hidden_channels=hidden_channels,
    )


MUNITGenerator.published = Published(
    recognises=lambda tensors: (
        {"enc_content.model.0.conv.weight", "mlp.model.0.fc.weight"} <= set(tensors)
    ),
    config_of=_config_of,
    names=published_names,
    of_first_domain=("enc_content.",),
    reads_colours=lambda tensors, said: True,
    families=("munit",),
    family_of=lambda config: "munit",
)
