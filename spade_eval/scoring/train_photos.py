# SPDX-License-Identifier: Apache-2.0
"""What a run keeps of the train split's photos: thumbnails, by which copies of them are known."""

from pathlib import Path

import torch
from torch import Tensor

from spade_eval.batches import photos
from spade_eval.datasets.base import Dataset, HasPhotoFiles
from spade_eval.datasets.scenes.stored import StoredScenes
from spade_eval.metrics.feature_set import FeatureSet, is_cached
from spade_eval.metrics.memorisation import GRID, thumbnails
from spade_eval.models.training.distributed import World
from spade_eval.progress import followed
from spade_eval.records import sha256_of_json

_AT_ONCE = 100  # photos in memory while thumbnails are made


def kept_thumbnails(train: Dataset, count: int, folder: Path, world: World) -> tuple[str, Tensor]:
    """Return a hash and the (count, 192) thumbnails of the first photos, made where missing."""
    photos_of = world.on_first(lambda: contents_of(train, count))
    made_of = sha256_of_json(["thumbnails", GRID, train.size, count, photos_of])
    path = folder / f"thumbnails-{made_of[:16]}.npz"
    world.on_first(lambda: _keep(path, made_of, train, count))
    kept = FeatureSet.load(path).features
    assert kept is not None
    return made_of, kept


def contents_of(dataset: Dataset, count: int) -> list[str]:
    """Identify the first photos of a split; of files, the rest of a large split is not read."""
    if isinstance(dataset, HasPhotoFiles):
        return dataset.photo_hashes(count)
    return [dataset.fingerprint()]


def fill_first(dataset: Dataset, count: int) -> None:
    """Compute the first samples of a split, where there is a file for them."""
    if isinstance(dataset, StoredScenes):
        dataset.fill(followed(range(count), "rendering samples", count, "image"))


def _keep(path: Path, made_of: str, train: Dataset, count: int) -> None:
    if is_cached(path, made_of):
        return
    fill_first(train, count)  # trainings need most of them anyway
    starts = range(0, count, _AT_ONCE)
    parts = [
        thumbnails(photos([train[i] for i in range(start, min(start + _AT_ONCE, count))]))
        for start in followed(starts, "thumbnails", len(starts), "batch")
    ]
    FeatureSet.of(torch.cat(parts)).save(path, made_of)
