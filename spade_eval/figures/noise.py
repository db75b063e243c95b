# SPDX-License-Identifier: Apache-2.0
"""3D noise as a picture: z drawn per image, per class and per region, and for one class anew.

Sushko et al., ICLR 2021, Fig. 1 and 4: because noise is an input at every pixel, a part of the
label map can get another look while the rest of the image stays nearly as it was.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor

from spade_eval.batches import coloured, label_maps, semantic_map
from spade_eval.datasets.base import Dataset, Sample
from spade_eval.errors import UserError
from spade_eval.figures.networks import (
    RANDOM,
    FigureGenerator,
    from_checkpoint,
    random_generator,
    synthesize,
)
from spade_eval.figures.pictures import Column, save_figure
from spade_eval.models.choices import NoisePer
from spade_eval.models.inputs import Inputs, Noise
from spade_eval.models.labels import IGNORE_INDEX
from spade_eval.models.regions import latent
from spade_eval.models.systems.presets import system_of
from spade_eval.sources.checkpoints import ReleasedOptions

_PRESET = "oasis"
_DRAWS = 2


def noise(
    folder: Path,
    dataset: Dataset,
    checkpoint: Path | None,
    released: ReleasedOptions,
    num_maps: int,
    seed: int,
) -> tuple[list[str], Path]:
    """Make the figure of 3D noise: lines of numbers and the picture."""
    generator = _generator(checkpoint, dataset, released, seed)
    samples = [dataset[index] for index in range(min(num_maps, len(dataset)))]
    levels: tuple[NoisePer, ...] = get_args(NoisePer)
    z = {level: [_drawn(generator, samples, seed, draw, level) for draw in range(_DRAWS)]
         for level in levels}  # fmt: skip
    images = {level: [_made(generator, samples, item) for item in z[level]] for level in levels}
    label_map, commonest = label_maps(samples), [_commonest(sample) for sample in samples]
    there = label_map == torch.tensor(commonest)[:, None, None]
    anew = _made(generator, samples, torch.where(there[:, None], z["class"][1], z["class"][0]))
    weights = f"weights of {checkpoint.name}" if checkpoint else f"{RANDOM}: nothing was trained"
    lines = [
        f"3D noise: {len(samples)} label maps of {dataset.name}, z from N(0, 1) with seed {seed}, "
        f"{weights}",
        *(
            f"z per {level}: mean absolute difference between two images of a label map "
            f"{float((pair[0] - pair[1]).abs().mean()):.3g} (of 2)"
            for level, pair in images.items()
        ),
        *_lines_of_one_class(dataset, samples, commonest, there, anew - images["class"][0]),
    ]
    columns: dict[str, Column] = {"label map": list(coloured(samples, dataset))}
    for level, pair in images.items():
        columns |= {f"z per {level} ({draw + 1})": list(made) for draw, made in enumerate(pair)}
    columns["z per class (1), commonest class anew"] = list(anew)
    return lines, save_figure(folder, "noise", columns, ". ".join(lines) + ".")


def _generator(
    checkpoint: Path | None, dataset: Dataset, released: ReleasedOptions, seed: int
) -> FigureGenerator:
    if checkpoint is None:
        return random_generator(RANDOM, _PRESET, dataset, seed)
    generator = from_checkpoint(checkpoint.stem, checkpoint, dataset, released)
    if system_of(generator.network).noise_levels(generator.network) != get_args(NoisePer):
        raise UserError(
            f"checkpoint {checkpoint} has no noise that may vary within an image, expected a "
            "generator with 3D noise (oasis); give another --checkpoint"
        )
    return generator


def _drawn(
    generator: FigureGenerator, samples: Sequence[Sample], seed: int, draw: int, level: NoisePer
) -> Tensor:
    assert generator.z_dim is not None
    semantics = semantic_map(samples, generator.layout, torch.device("cpu"))
    random = Noise.of_images(seed, range(len(samples)), draw)
    return latent(Inputs(semantics, random, noise_per=level), generator.z_dim)


def _made(generator: FigureGenerator, samples: Sequence[Sample], z: Tensor) -> Tensor:
    semantics = semantic_map(samples, generator.layout, torch.device("cpu"))
    return synthesize(generator, semantics, z)


def _commonest(sample: Sample) -> int:
    """Return the label of most pixels, or 255 where none has a label."""
    values = torch.from_numpy(sample.label_map).long().flatten()
    known = values[values != IGNORE_INDEX]
    return int(known.bincount().argmax()) if len(known) else IGNORE_INDEX


def _lines_of_one_class(
    dataset: Dataset,
    samples: Sequence[Sample],
    labels: Sequence[int],
    there: Tensor,
    difference: Tensor,
) -> list[str]:
    """Say how much pixels of a class, and all others, change with the noise of that class."""
    lines = []
    for sample, label, mask, changed in zip(samples, labels, there, difference, strict=True):
        if label == IGNORE_INDEX or mask.all():
            continue
        moved = changed.abs().mean(dim=0)
        lines.append(
            f"{sample.name}: with another z for {dataset.label_space.class_names[label]} alone its "
            f"pixels change by {float(moved[mask].mean()):.3g}, the others by "
            f"{float(moved[~mask].mean()):.3g} (of 2)"
        )
    return lines
