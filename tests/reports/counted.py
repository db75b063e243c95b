# SPDX-License-Identifier: Apache-2.0
"""Per-image counts for tests: drawn from a seed, of given label maps, or of a whole run folder."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from synthetic import measurement
from torch import Tensor

from spade_eval.metrics.counts import StoredCounts
from spade_eval.metrics.feature_set import FeatureSet
from spade_eval.metrics.frechet import frechet_distance
from spade_eval.metrics.segmentation import SegmentationScores, class_counts, stored_counts
from spade_eval.records import Measurement, RecordStore, sha256_of_json

CLASSES = ("sky", "sea", "<img onerror=alert(1)>", "a_b & 50%")


def stored(num_images: int, num_classes: int, seed: int) -> StoredCounts:
    """Counts that could be of label maps: no more hits than targets and predictions."""
    numbers = np.random.default_rng(seed)
    counts = numbers.integers(0, 60, (num_images, 3, num_classes), dtype=np.uint32)
    counts[:, 0] = np.minimum(counts[:, 0], counts[:, 1:].min(axis=1))
    ignored = numbers.integers(0, 9, num_images, dtype=np.uint32)
    return StoredCounts(tuple(f"image{i:04d}" for i in range(num_images)), counts, ignored)


def counts_of(prediction: Tensor, target: Tensor, num_classes: int) -> StoredCounts:
    names = [f"image{i:04d}" for i in range(len(target))]
    return stored_counts(names, *class_counts(prediction, target, num_classes))


def write_run(
    folder: Path,
    wrong: dict[str, float],
    num_images: int = 60,
    features: bool = True,
    seed: int = 0,
    **changes: object,
) -> list[Measurement]:
    """A run folder as the engine leaves it; each row predicts that share of pixels wrongly."""
    target = _label_maps(num_images)
    photos = np.random.default_rng(7).normal(size=(num_images, 6)).astype(np.float32)
    found = []
    for place, (source, share) in enumerate(wrong.items()):
        noise = torch.Generator().manual_seed(100 * seed + place)
        changed = torch.rand(target.shape, generator=noise) < share
        drawn = torch.randint(0, len(CLASSES), target.shape, generator=noise)
        prediction = torch.where(changed, drawn, target.clamp(max=len(CLASSES) - 1))
        scores = SegmentationScores(len(CLASSES), averaged="target")
        scores.update(prediction, target)
        made = _features(photos, source, share, place)
        sets = [FeatureSet.of(torch.from_numpy(side)).moments for side in (photos, made)]
        distance = frechet_distance(*sets)
        items = _measurements(source, scores, distance if features else share, seed, changes)
        name = f"{source}-{items[0].job_sha256[:8]}.npz"
        (folder / "counts").mkdir(parents=True, exist_ok=True)
        counts_of(prediction, target, len(CLASSES)).save(folder / "counts" / name)
        if features:
            (folder / "features").mkdir(exist_ok=True)
            np.savez(folder / "features" / f"{name[:-4]}-{'e' * 8}.npz", features=made)
        RecordStore(folder / "records.jsonl").append(items)
        found += items
    (folder / "cache").mkdir(exist_ok=True)
    np.savez(folder / "cache" / f"reference-{'e' * 16}.npz", features=photos)
    (folder / "config.json").write_text(json.dumps({"dataset": "scenes", "seed": seed}))
    return found


def _features(
    photos: NDArray[np.float32], source: str, share: float, seed: int
) -> NDArray[np.float32]:
    """Features of a row's images: those of the photos themselves for `real`."""
    if source == "real":
        return photos
    noise = np.random.default_rng(seed).normal(size=photos.shape) / 2
    made: NDArray[np.float32] = (photos + share + noise).astype(np.float32)
    return made


def _label_maps(num_images: int) -> Tensor:
    numbers = torch.Generator().manual_seed(3)
    target = torch.randint(0, len(CLASSES), (num_images, 16, 16), generator=numbers)
    target[:, 0] = 255
    return target


def _measurements(
    source: str, scores: SegmentationScores, distance: float, seed: int, changes: dict[str, object]
) -> list[Measurement]:
    kind = source if source in ("real", "oracle", "label colours") else "generator"
    rows: Sequence[tuple[str, str, bool, str | None, float | None]] = [
        *((name, "%", True, None, value) for name, value in scores.compute().items()),
        ("fd_in_domain", "", False, None, distance),
        *(("iou", "%", True, name, value)
          for name, value in zip(CLASSES, scores.per_class_iou(), strict=True)),
    ]  # fmt: skip
    common = {
        "source": source, "source_kind": kind, "num_images": 60, "seed": seed,
        "source_sha256": sha256_of_json([source, seed]), "job_size": len(rows),
        "job_sha256": sha256_of_json([source, distance, seed, sorted(map(str, changes.items()))]),
        **changes,
    }  # fmt: skip
    return [
        dataclasses.replace(
            measurement(**common), metric=name, label=name, unit=unit, larger_is_better=larger,
            class_name=class_name, value=value,
            reference_sha256="e" * 64 if name.startswith("fd") else None,
        )
        for name, unit, larger, class_name, value in rows
    ]  # fmt: skip
