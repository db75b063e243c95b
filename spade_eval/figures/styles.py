# SPDX-License-Identifier: Apache-2.0
"""Figures 1 and 9: one label map with several latents, drawn from N(0, 1) or encoded from photos.

Section 3, "Multi-modal synthesis", of Park et al.: the generator's input is a latent z, which an
image encoder makes of a style photo, z = mu + exp(logvar / 2) * noise, at test time too. MUNIT's
generator holds its own encoder, which gives the style itself.
"""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import torch
from torch import Tensor, nn

from spade_eval.batches import coloured, photos, semantic_map
from spade_eval.datasets.base import Dataset, Sample
from spade_eval.datasets.files import read_photo
from spade_eval.errors import UserError
from spade_eval.figures.guidance import guidance_line
from spade_eval.figures.layout import LatentsOf, has_segmenter, layout_lines
from spade_eval.figures.networks import (
    RANDOM,
    FigureGenerator,
    from_checkpoint,
    open_encoder,
    own_style_encoder,
    random_encoder,
    random_generator,
    require_latent,
    synthesize,
)
from spade_eval.figures.pictures import Column, save_figure
from spade_eval.models.encoders.variational import ImageEncoder, reparametrise
from spade_eval.models.inputs import Noise
from spade_eval.sources.checkpoints import ReleasedOptions

_RANDOM_PRESET = "spade_vae"


def multimodal(
    folder: Path,
    dataset: Dataset,
    checkpoint: Path | None,
    released: ReleasedOptions,
    num_maps: int,
    num_latents: int,
    seed: int,
    score: int = 0,
) -> tuple[list[str], Path]:
    """Make Figure 9, every label map with the same latents: lines of numbers and the picture.

    `score` label maps tell whether the layout holds; 0 leaves that out.
    """
    generator = _generator(checkpoint, dataset, released, seed)
    z_dim = require_latent(generator, checkpoint)
    z = Noise.of_images(seed, range(num_latents)).normal("z", z_dim)

    def drawn(number: int, indices: Sequence[int]) -> Tensor:
        return Noise.of_images(seed, indices, number).normal("z", z_dim)

    samples = _samples(dataset, num_maps)
    images = _each_with_each(generator, samples, z)  # (latents, maps, 3, H, W)
    weights = _weights(checkpoint)
    lines = [
        f"Figure 9, multi-modal synthesis: {len(samples)} label maps of {dataset.name}, "
        f"{num_latents} latents from N(0, 1) with seed {seed}, {weights}",
        *_spread_lines(samples, images, "latents"),
        *_layout_lines(generator, dataset, drawn, z, score, "latents"),
    ]
    mark = "" if checkpoint else f" ({RANDOM})"
    columns: dict[str, Column] = {"label map": list(coloured(samples, dataset))}
    columns |= {f"z {place + 1}{mark}": list(column) for place, column in enumerate(images)}
    return lines, save_figure(folder, "multimodal", columns, ". ".join(lines) + ".")


def style(
    folder: Path,
    dataset: Dataset,
    checkpoint: Path | None,
    encoder: Path | None,
    released: ReleasedOptions,
    num_maps: int,
    style_images: Sequence[Path],
    num_styles: int,
    seed: int,
    score: int = 0,
) -> tuple[list[str], Path]:
    """Make Figure 1: label maps (rows) x style photos (columns) through the encoder.

    A generator that holds its own takes no `encoder`.

    Styles are the given image files, or photos of the dataset that follow the label maps' own.
    `score` is as in `multimodal`; there label maps take the styles in turn.
    """
    if checkpoint is None and encoder is not None:
        raise _missing("--encoder", "--checkpoint")
    generator = _generator(checkpoint, dataset, released, seed)
    z_dim = require_latent(generator, checkpoint)
    network = _encoder(generator, encoder, z_dim, seed)
    samples = _samples(dataset, num_maps)
    titles, shown = _styles(dataset, style_images, num_maps, num_styles)
    z = _encoded(network, shown, seed)
    images = _each_with_each(generator, samples, z)

    def in_turn(number: int, indices: Sequence[int]) -> Tensor:
        return z[[(index + number) % len(z) for index in indices]]

    lines = [
        f"Figure 1, styles: {len(samples)} label maps of {dataset.name} (rows) x {len(shown)} "
        f"style photos (columns), seed {seed}, {_weights(checkpoint)}",
        f"largest |z| {float(z.abs().max()):.3g}; mean distance between two styles' z "
        f"{_mean_distance(list(z)):.3g}",
        *_spread_lines(samples, images, "styles"),
        *_layout_lines(generator, dataset, in_turn, z, score, "styles"),
        *_guidance_lines(generator, network, dataset, score, seed),
    ]
    mark = "" if checkpoint else f" ({RANDOM})"
    columns: dict[str, Column] = {"label map": [None, *coloured(samples, dataset)]}
    for title, photo, column in zip(titles, shown, images, strict=True):
        columns[f"{title}{mark}"] = [photo, *column]
    return lines, save_figure(folder, "style", columns, ". ".join(lines) + ".")


def _generator(
    checkpoint: Path | None, dataset: Dataset, released: ReleasedOptions, seed: int
) -> FigureGenerator:
    if checkpoint is None:
        return random_generator(RANDOM, _RANDOM_PRESET, dataset, seed)
    return from_checkpoint(checkpoint.stem, checkpoint, dataset, released)


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


def _weights(checkpoint: Path | None) -> str:
    untrained = f"{RANDOM}: nothing was trained"
    return untrained if checkpoint is None else f"weights of {checkpoint.name}"


def _samples(dataset: Dataset, count: int, first: int = 0) -> list[Sample]:
    if first + count > len(dataset):
        raise UserError(
            f"{dataset.name} {dataset.split} has {len(dataset)} samples, expected at least "
            f"{first + count}: ask for fewer label maps or styles"
        )
    return [dataset[index] for index in range(first, first + count)]


def _styles(
    dataset: Dataset, files: Sequence[Path], num_maps: int, num_styles: int
) -> tuple[list[str], list[Tensor]]:
    """Titles and photos (3, H, W) uint8."""
    if files:
        read = [torch.tensor(read_photo(path)).permute(2, 0, 1) for path in files]
        return [f"{number} {path.stem}" for number, path in enumerate(files, 1)], read
    samples = _samples(dataset, num_styles, first=num_maps)
    return [f"style of {sample.name}" for sample in samples], list(photos(samples))


def _encoded(encoder: nn.Module, shown: Sequence[Tensor], seed: int) -> Tensor:
    """(styles, z_dim): each photo encoded alone, because their sizes may differ."""
    with torch.inference_mode():
        encoded = [encoder(photo[None].float() / 127.5 - 1) for photo in shown]
    if not isinstance(encoder, ImageEncoder):
        return torch.cat(encoded)
    noise = Noise.of_images(seed, range(len(shown))).normal("z", encoder.config.z_dim)
    mu, logvar = (torch.cat(parts) for parts in zip(*encoded, strict=True))
    return reparametrise(mu, logvar, noise)


def _each_with_each(generator: FigureGenerator, samples: list[Sample], z: Tensor) -> Tensor:
    """(latents, maps, 3, H, W): every label map with every latent."""
    semantics = semantic_map(samples, generator.layout, torch.device("cpu"))
    columns = [synthesize(generator, semantics, row.expand(len(samples), -1)) for row in z]
    return torch.stack(columns)


def _spread_lines(samples: Sequence[Sample], images: Tensor, of: str) -> list[str]:
    """Say how far apart a label map's images lie; 0 would mean that the latent has no effect."""
    return [
        f"{sample.name}: mean absolute difference between two {of}' images "
        f"{_mean_distance(list(images[:, row])):.3g} (of 2)"
        for row, sample in enumerate(samples)
    ]


def _layout_lines(
    generator: FigureGenerator,
    dataset: Dataset,
    own: LatentsOf,
    z: Tensor,
    score: int,
    of: str,
) -> list[str]:
    """Score the layout, but not of random weights, of one latent, or without a segmenter."""
    if not score or generator.is_random or len(z) < 2:
        return []
    if not has_segmenter(dataset):
        return [f"layout: not scored, no segmenter of {dataset.name} ships with the suite"]
    return layout_lines(generator, dataset, own, z, score, of)


def _guidance_lines(
    generator: FigureGenerator, encoder: nn.Module, dataset: Dataset, score: int, seed: int
) -> list[str]:
    """Needs at least three photos: two always correlate."""
    if score < 3 or generator.is_random:
        return []
    indices = range(score)
    shown = [photos([dataset[index]])[0] for index in indices]
    return [guidance_line(generator, dataset, _encoded(encoder, shown, seed), indices)]


def _mean_distance(items: Sequence[Tensor]) -> float:
    distances = [float((one - other).abs().mean()) for one, other in combinations(items, 2)]
    return sum(distances) / len(distances) if distances else 0.0
