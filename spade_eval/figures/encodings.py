# SPDX-License-Identifier: Apache-2.0
"""From style photos to what a generator takes: a latent, or a code for each label.

Park et al., Sec. 3, "Multi-modal synthesis": an image encoder makes of a photo z = mu +
exp(logvar / 2) * noise, at test time too. MUNIT's generator holds its own, which gives the style
itself. SEAN (Zhu et al.) averages over the regions of the
photo's own label map, so it takes no photo without one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from spade_eval.batches import photos, semantic_map
from spade_eval.datasets.base import Sample
from spade_eval.errors import UserError
from spade_eval.figures.networks import (
    RANDOM,
    FigureGenerator,
    open_encoder,
    own_style_encoder,
    random_encoder,
    require_latent,
)
from spade_eval.models.encoders.variational import ImageEncoder, reparametrise
from spade_eval.models.generators.sean import SEANGenerator
from spade_eval.models.inputs import Noise
from spade_eval.models.semantics import SemanticMap


@dataclass(frozen=True)
class StylePhoto:
    """A photo (3, H, W) uint8, with its label map where it is one of a dataset's."""

    pixels: Tensor
    sample: Sample | None = None


def of_samples(samples: Sequence[Sample]) -> list[StylePhoto]:
    """Take the photos of samples."""
    pairs = zip(photos(samples), samples, strict=True)
    return [StylePhoto(pixels, sample) for pixels, sample in pairs]


class Encoding(Protocol):
    """How the styles of one generator are made, and what is called what in the text."""

    symbol: str

    def of(self, shown: Sequence[StylePhoto]) -> Tensor:
        """Return one style a photo, (N, ...), as the generator takes it beside the label map."""
        ...

    def lines(self, samples: Sequence[Sample], shown: Sequence[StylePhoto]) -> list[str]:
        """Say what else must be known of these label maps in these styles."""
        ...


class LatentEncoding:
    """An image encoder beside or inside the generator; both untrained where neither is given."""

    symbol = "z"

    def __init__(
        self, generator: FigureGenerator, checkpoint: Path | None, encoder: Path | None, seed: int
    ) -> None:
        if checkpoint is None and encoder is not None:
            raise _missing("--encoder", "--checkpoint")
        z_dim, self.seed = require_latent(generator, checkpoint), seed
        self.encoder = _encoder(generator, encoder, z_dim, seed)

    def of(self, shown: Sequence[StylePhoto]) -> Tensor:
        """Return (N, z_dim): each photo encoded alone, because their sizes may differ."""
        with torch.inference_mode():
            encoded = [self.encoder(style.pixels[None].float() / 127.5 - 1) for style in shown]
        if not isinstance(self.encoder, ImageEncoder):
            return torch.cat(encoded)
        noise = Noise.of_images(self.seed, range(len(shown)))
        mu, logvar = (torch.cat(parts) for parts in zip(*encoded, strict=True))
        return reparametrise(mu, logvar, noise.normal("z", self.encoder.config.z_dim))

    def lines(self, samples: Sequence[Sample], shown: Sequence[StylePhoto]) -> list[str]:
        return []


def _encoder(generator: FigureGenerator, file: Path | None, z_dim: int, seed: int) -> nn.Module:
    """Return the encoder of styles: the generator's own, that of the file, or a random one."""
    own = own_style_encoder(generator.network)
    if own is not None:
        if file is not None:
            raise UserError(f"--encoder {file}: this generator holds its own; leave the flag out")
        return own
    if file is not None:
        return open_encoder(file, z_dim)
    if not generator.is_random:
        raise _missing("--checkpoint", "--encoder")
    return random_encoder(z_dim, seed)


def _missing(given: str, missing: str) -> UserError:
    return UserError(
        f"{given} was given without {missing}; expected both, which were trained together, or "
        f"neither for {RANDOM}"
    )


class RegionEncoding:
    """SEAN's encoder, which is part of the generator and needs label maps."""

    symbol = "code"

    def __init__(
        self,
        generator: FigureGenerator,
        checkpoint: Path | None,
        encoder: Path | None,
        files: Sequence[Path],
    ) -> None:
        assert isinstance(generator.network, SEANGenerator)
        self.network, self.layout = generator.network, generator.layout
        if encoder is not None:
            raise UserError(
                f"--encoder {encoder}: the generator of {checkpoint} has its encoder in its own "
                "file; leave the flag out"
            )
        if files:
            raise UserError(
                f"--style-image {files[0]}: the generator of {checkpoint} takes a style from each "
                "region of a photo's own label map, which an image file lacks; leave the flag out "
                "for val photos"
            )

    def of(self, shown: Sequence[StylePhoto]) -> Tensor:
        """Return (N, labels, S)."""
        pixels = torch.stack([style.pixels for style in shown]).float() / 127.5 - 1
        with torch.inference_mode():
            return self.network.styles(pixels, self._maps(shown))

    def lines(self, samples: Sequence[Sample], shown: Sequence[StylePhoto]) -> list[str]:
        """Say how much of the label maps has a style of a photo, and what the rest has."""
        maps = self._maps(of_samples(samples)).label_fractions()
        known = self._maps(shown).label_fractions() > 0
        covered = (maps[:, None] * known[None]).sum(dim=2) / maps.sum(dim=1)[:, None]
        lacking = "its class means" if self.network.config.class_means else "codes of zeros"
        return [
            f"regions: on average {100 * float(covered.mean()):.0f}% of a label map has labels "
            f"that a style photo has, too; the rest has {lacking}. The noise of the layers is off"
        ]

    def _maps(self, shown: Sequence[StylePhoto]) -> SemanticMap:
        samples = [style.sample for style in shown if style.sample is not None]
        return semantic_map(samples, self.layout, torch.device("cpu"))
