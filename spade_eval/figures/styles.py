# SPDX-License-Identifier: Apache-2.0
"""Figures 1 and 9: one label map with several latents, drawn from N(0, 1) or encoded from photos.

Section 3, "Multi-modal synthesis", of Park et al. In the place of encoded latents there may be
SEAN's codes of regions.
"""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import torch
from torch import Tensor

from spade_eval.batches import coloured, semantic_map
from spade_eval.datasets.base import Dataset, Sample
from spade_eval.datasets.files import read_photo
from spade_eval.errors import UserError
from spade_eval.figures.encodings import (
    Encoding,
    LatentEncoding,
    RegionEncoding,
    StylePhoto,
    of_samples,
)
from spade_eval.figures.guidance import guidance_line
from spade_eval.figures.layout import LatentsOf, has_segmenter, layout_lines
from spade_eval.figures.networks import (
    RANDOM,
    FigureGenerator,
    from_checkpoint,
    random_generator,
    require_latent,
    synthesize,
)
from spade_eval.figures.pictures import Column, save_figure
from spade_eval.models.generators.sean import SEANGenerator
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

    Styles are the given image files, or photos of the dataset that follow the label maps' own; for
    SEAN, whose encoder is in its file, always the latter. `score` is as in `multimodal`; there
    label maps take the styles in turn.
    """
    generator = _generator(checkpoint, dataset, released, seed)
    encoding = _encoding(generator, checkpoint, encoder, style_images, seed)
    samples = _samples(dataset, num_maps)
    titles, shown = _styles(dataset, style_images, num_maps, num_styles)
    z = encoding.of(shown)
    images = _each_with_each(generator, samples, z)

    def in_turn(number: int, indices: Sequence[int]) -> Tensor:
        return z[[(index + number) % len(z) for index in indices]]

    what = encoding.symbol
    lines = [
        f"Figure 1, styles: {len(samples)} label maps of {dataset.name} (rows) x {len(shown)} "
        f"style photos (columns), seed {seed}, {_weights(checkpoint)}",
        f"largest |{what}| {float(z.abs().max()):.3g}; mean distance between two styles' {what} "
        f"{_mean_distance(list(z)):.3g}",
        *encoding.lines(samples, shown),
        *_spread_lines(samples, images, "styles"),
        *_layout_lines(generator, dataset, in_turn, z, score, "styles"),
        *_guidance_lines(generator, encoding, dataset, score),
    ]
    mark = "" if checkpoint else f" ({RANDOM})"
    columns: dict[str, Column] = {"label map": [None, *coloured(samples, dataset)]}
    for title, style_photo, column in zip(titles, shown, images, strict=True):
        columns[f"{title}{mark}"] = [style_photo.pixels, *column]
    return lines, save_figure(folder, "style", columns, ". ".join(lines) + ".")


def _generator(
    checkpoint: Path | None, dataset: Dataset, released: ReleasedOptions, seed: int
) -> FigureGenerator:
    if checkpoint is None:
        return random_generator(RANDOM, _RANDOM_PRESET, dataset, seed)
    return from_checkpoint(checkpoint.stem, checkpoint, dataset, released)


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
) -> tuple[list[str], list[StylePhoto]]:
    """Titles and photos, with their samples where they are the dataset's."""
    if files:
        read = [torch.tensor(read_photo(path)).permute(2, 0, 1) for path in files]
        titles = [f"{number} {path.stem}" for number, path in enumerate(files, 1)]
        return titles, [StylePhoto(pixels) for pixels in read]
    samples = _samples(dataset, num_styles, first=num_maps)
    return [f"style of {sample.name}" for sample in samples], of_samples(samples)


def _encoding(
    generator: FigureGenerator,
    checkpoint: Path | None,
    encoder: Path | None,
    files: Sequence[Path],
    seed: int,
) -> Encoding:
    """Return how the generator's styles are made; `UserError` for a file that does not fit it."""
    if isinstance(generator.network, SEANGenerator):
        return RegionEncoding(generator, checkpoint, encoder, files)
    return LatentEncoding(generator, checkpoint, encoder, seed)


def _each_with_each(generator: FigureGenerator, samples: list[Sample], z: Tensor) -> Tensor:
    """(latents, maps, 3, H, W): every label map with every latent, or code of each label."""
    semantics = semantic_map(samples, generator.layout, torch.device("cpu"))
    each = (row.expand(len(samples), *row.shape) for row in z)
    return torch.stack([synthesize(generator, semantics, same) for same in each])


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
    generator: FigureGenerator, encoding: Encoding, dataset: Dataset, score: int
) -> list[str]:
    """Needs at least three photos: two always correlate."""
    if score < 3 or generator.is_random:
        return []
    indices = range(score)
    shown = of_samples([dataset[index] for index in indices])
    return [guidance_line(generator, dataset, encoding.of(shown), indices)]


def _mean_distance(items: Sequence[Tensor]) -> float:
    distances = [float((one - other).abs().mean()) for one, other in combinations(items, 2)]
    return sum(distances) / len(distances) if distances else 0.0
