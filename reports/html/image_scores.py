# SPDX-License-Identifier: Apache-2.0
"""Scores of single images, which order the gallery: IoU, accuracy and IoU of each class.

The mIoU of one image is the mean over the classes of its ground truth, from the counts of that
image alone. It says which images are hard; it is not the split's mIoU, whose counts are pooled.
Rounded to what is shown, 5,000 images of ten models take a few megabytes.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spade_eval.metrics.counts import StoredCounts

_NO_IOU = 255  # of the stored bytes, which hold half per cents: 0 to 200


@dataclass(frozen=True)
class ImageScores:
    """What the page's script sorts by; lists run over images in the gallery's order."""

    class_names: tuple[str, ...]
    labels: list[list[int]]  # classes of each image's ground truth
    columns: list[dict[str, Any]]

    def of_column(self, place: int) -> dict[str, Any]:
        """Return `miou`, `accuracy` in hundredths of a per cent (None: unknown) and `classIou`."""
        return self.columns[place]


def image_scores(
    columns: Sequence[tuple[StoredCounts | None, Sequence[str]]], names: Sequence[str]
) -> ImageScores:
    """Return the scores of each column's images; columns without counts have none."""
    class_names = next((tuple(classes) for counts, classes in columns if counts is not None), ())
    usable = [
        counts if counts is not None and tuple(classes) == class_names else None
        for counts, classes in columns
    ]
    target = _target(usable, names, len(class_names))
    present = target > 0
    return ImageScores(
        class_names=class_names,
        labels=[np.flatnonzero(row).tolist() for row in present],
        columns=[{} if counts is None else _scores(counts, names, present) for counts in usable],
    )


def _target(
    columns: Sequence[StoredCounts | None], names: Sequence[str], num_classes: int
) -> NDArray[np.uint32]:
    """Return (N, C) ground-truth pixels: equal for all sources, from whichever scored the image."""
    target = np.zeros((len(names), num_classes), np.uint32)
    for counts in columns:
        if counts is not None:
            shown, places = _matching(counts, names)
            target[shown] = counts.target[places]
    return target


def _matching(
    counts: StoredCounts, names: Sequence[str]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Places in `names` of the images that have counts, and their places in the counts."""
    place_of = {name: place for place, name in enumerate(counts.names)}
    shown = [index for index, name in enumerate(names) if name in place_of]
    places = [place_of[names[index]] for index in shown]
    return np.array(shown, np.intp), np.array(places, np.intp)


def _scores(
    counts: StoredCounts, names: Sequence[str], present: NDArray[np.bool_]
) -> dict[str, Any]:
    shown, places = _matching(counts, names)
    iou = np.full(present.shape, np.nan)  # of (N, C); read only where the class is present
    hits, target = counts.intersection[places], counts.target[places]
    union = target.astype(np.float64) + counts.prediction[places] - hits
    iou[shown] = np.divide(hits, union, out=np.full(union.shape, np.nan), where=union > 0)
    return {
        "miou": _hundredths(counts.image_miou(), shown, places, len(names)),
        "accuracy": _hundredths(counts.image_accuracy(), shown, places, len(names)),
        "classIou": _bytes(iou[present]),
    }


def _hundredths(
    values: NDArray[np.float64],
    shown: NDArray[np.intp],
    places: NDArray[np.intp],
    num_images: int,
) -> list[int | None]:
    """Fractions in hundredths of a per cent, in the gallery's order; None where there is none."""
    scores = np.full(num_images, np.nan)
    scores[shown] = values[places]
    return [None if np.isnan(value) else round(10_000 * value) for value in scores.tolist()]


def _bytes(iou: NDArray[np.float64]) -> str:
    """Half per cents as base64 bytes, in the order of the images' `labels`."""
    rounded = np.where(np.isnan(iou), _NO_IOU, np.round(200 * np.nan_to_num(iou)))
    return base64.b64encode(rounded.astype(np.uint8).tobytes()).decode()
