# SPDX-License-Identifier: Apache-2.0
"""Bootstrap over the images of a split, from per-image class counts (Efron, 1979).

A resample draws as many images as the split has, with replacement, pools their counts and
computes the scores again. All resamples are one matrix product: how often each image was drawn
(resamples x images) times its counts (images x 3 classes). Two methods are compared on the same
resamples, so that what the drawn label maps do to both cancels. Intervals are percentiles of the
resampled values, 95% by default.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spade_eval.metrics.counts import ClassAverage, StoredCounts, iou_of, miou_of

Floats = NDArray[np.float64]
NUM_RESAMPLES = 1000
RESAMPLED_METRICS = ("miou", "acc_valid", "acc_all", "mean_accuracy", "fwiou")
_LEVEL = 0.95


@dataclass(frozen=True)
class Resampled:
    """Scores of every resample; fractions, NaN where a resample lacks the class."""

    miou: Floats  # (R,)
    acc_valid: Floats  # (R,)
    acc_all: Floats  # (R,)
    mean_accuracy: Floats  # (R,)
    fwiou: Floats  # (R,)
    iou: Floats  # (R, C)

    def of(self, metric: str) -> Floats | None:
        """Return the resampled values of a metric; None where counts do not make it."""
        return getattr(self, metric) if metric in RESAMPLED_METRICS else None


def drawn_images(
    num_images: int, num_resamples: int = NUM_RESAMPLES, seed: int = 0
) -> NDArray[np.int64]:
    """Draw the images of each resample: (resamples, images) indices."""
    generator = np.random.default_rng(seed)
    return generator.integers(0, num_images, (num_resamples, num_images), dtype=np.int64)


def draw_counts(drawn: NDArray[np.int64]) -> Floats:
    """Count how often each image was drawn: (resamples, images)."""
    num_images = drawn.shape[1]
    times = np.empty(drawn.shape)
    for row, images in zip(times, drawn, strict=True):  # one row stays in the cache
        row[:] = np.bincount(images, minlength=num_images)
    return times


def resampled(counts: StoredCounts, times: Floats, average: ClassAverage) -> Resampled:
    """Score all resamples; `times` is how often each image is in each of them."""
    flat = counts.counts.reshape(len(counts), -1).astype(np.float64)
    # Whole numbers below 2^53, so the sums are exact in any order.
    pooled = (times @ flat).reshape(len(times), 3, -1)
    return _scores(pooled, times @ counts.num_ignored.astype(np.float64), average)


def interval(values: Floats, level: float = _LEVEL) -> Any:
    """Return (low, high) percentiles over the first axis, NaN left out, for each of the rest."""
    tail = 100 * (1 - level) / 2
    if not np.isnan(values).any():
        return np.percentile(values, [tail, 100 - tail], axis=0)
    with np.errstate(all="ignore"):
        return _nan_percentiles(values, [tail, 100 - tail])


def _nan_percentiles(values: Floats, percents: list[float]) -> Floats:
    """Column by column: numpy's own form warns about columns that hold NaN alone."""
    columns = values.reshape(len(values), -1)
    ends = np.full((len(percents), columns.shape[1]), np.nan)
    for place in range(columns.shape[1]):
        known = columns[:, place][~np.isnan(columns[:, place])]
        if len(known):
            ends[:, place] = np.percentile(known, percents)
    return ends.reshape(len(percents), *values.shape[1:])


def _scores(pooled: Floats, ignored: Floats, average: ClassAverage) -> Resampled:
    """(R, 3, C) pooled counts and (R,) ignored pixels -> scores."""
    hits, target = pooled[:, 0], pooled[:, 1]
    correct, valid = hits.sum(axis=1), target.sum(axis=1)
    iou, averaged = iou_of(pooled, average)
    recall = hits / np.maximum(target, 1)
    with np.errstate(invalid="ignore"):
        return Resampled(
            miou=miou_of(pooled, average),
            acc_valid=correct / valid,
            acc_all=correct / (valid + ignored),
            mean_accuracy=recall.sum(axis=1) / (target > 0).sum(axis=1),
            fwiou=(target * iou).sum(axis=1) / valid,
            iou=np.where(averaged, iou, np.nan),
        )
