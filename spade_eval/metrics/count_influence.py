# SPDX-License-Identifier: Apache-2.0
"""What each image does to a score that is a function of pooled class counts.

Linearised in the counts (docs/statistics.md, section 10): a score of N images is off by the mean of
these values, so that their standard deviation over sqrt(N) is its standard error, and two methods
on the same images differ by that of the difference. No resampling is needed. I, T, P are pixels of
hits, target and prediction, U = T + P - I; without an index of the image they are sums.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from spade_eval.metrics.counts import ClassAverage, StoredCounts, iou_of

Floats = NDArray[np.float64]


def count_influence(counts: StoredCounts, metric: str, average: ClassAverage) -> Floats | None:
    """Return the (N,) influence of each image on a score; None where counts do not make it."""
    make = _INFLUENCES.get(metric)
    return None if make is None else make(counts, average)


def iou_influence(counts: StoredCounts) -> Floats:
    """Return (N, C): N (I_ic - IoU_c U_ic) / U_c, NaN for a class without union."""
    hits, union = _hits(counts), _union(counts)
    total = union.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        influence: Floats = len(counts) * (hits - hits.sum(axis=0) / total * union) / total
    return influence


def _miou(counts: StoredCounts, average: ClassAverage) -> Floats:
    """(N / K) sum_c (I_ic - IoU_c U_ic) / U_c over the K averaged classes."""
    _, averaged = iou_of(counts.counts.sum(axis=0, dtype=np.float64), average)
    # A class that is averaged without any union has IoU 0 whatever the images.
    influence: Floats = np.nan_to_num(iou_influence(counts)[:, averaged]).mean(axis=1)
    return influence


def _acc_valid(counts: StoredCounts, average: ClassAverage) -> Floats:
    """N (sum_c I_ic - acc sum_c T_ic) / sum T."""
    return _ratio(_hits(counts).sum(axis=1), _target(counts).sum(axis=1))


def _acc_all(counts: StoredCounts, average: ClassAverage) -> Floats:
    """The same with ignored pixels as wrong."""
    return _ratio(_hits(counts).sum(axis=1), _target(counts).sum(axis=1) + counts.num_ignored)


def _mean_accuracy(counts: StoredCounts, average: ClassAverage) -> Floats:
    """(N / K) sum_c (I_ic - recall_c T_ic) / T_c over the K classes with target."""
    present = _target(counts).sum(axis=0) > 0
    influence: Floats = _ratio(_hits(counts)[:, present], _target(counts)[:, present]).mean(axis=1)
    return influence


def _fwiou(counts: StoredCounts, average: ClassAverage) -> Floats:
    """N sum_c [(T_ic - w_c T_i) IoU_c / T + w_c (I_ic - IoU_c U_ic) / U_c], w_c = T_c / T."""
    target = _target(counts)
    total = target.sum()
    weights = target.sum(axis=0) / total
    iou, _ = iou_of(counts.counts.sum(axis=0, dtype=np.float64), "target")
    moved = len(counts) * (target - weights * target.sum(axis=1, keepdims=True)) / total
    influence: Floats = moved @ iou + np.nan_to_num(iou_influence(counts)) @ weights
    return influence


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    """N (a_i - a/b b_i) / b: the influence of each image on a/b, sums without an index."""
    total = denominator.sum(axis=0)
    ratio = numerator.sum(axis=0) / total
    influence: Floats = len(numerator) * (numerator - ratio * denominator) / total
    return influence


def _hits(counts: StoredCounts) -> Floats:
    return counts.intersection.astype(np.float64)


def _target(counts: StoredCounts) -> Floats:
    return counts.target.astype(np.float64)


def _union(counts: StoredCounts) -> Floats:
    union: Floats = _target(counts) + counts.prediction.astype(np.float64) - _hits(counts)
    return union


_INFLUENCES: dict[str, Callable[[StoredCounts, ClassAverage], Floats]] = {
    "miou": _miou,
    "acc_valid": _acc_valid,
    "acc_all": _acc_all,
    "mean_accuracy": _mean_accuracy,
    "fwiou": _fwiou,
}
STOPPABLE = tuple(_INFLUENCES)
"""Metrics that have influence values: those that `--until` may wait for."""
