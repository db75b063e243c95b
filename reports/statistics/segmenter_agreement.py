# SPDX-License-Identifier: Apache-2.0
"""Whether rankings depend on the segmenter: Kendall's tau of two of them, with its interval.

tau-b of the models' scores under two segmenters is 1 where both rank them alike and -1 where one
is the other reversed (Kendall, 1938). Label maps are drawn as everywhere (`bootstrap.py`), the same
for all models and both segmenters: the interval is about these models and these trainings, over
label maps alone. Drawing adds noise to both rankings, so it lies low rather than high.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from spade_eval.reports.statistics.bootstrap import Floats, Resampled, interval

FEWEST = 3
"""Models of which a ranking says anything: two have but one order, or the other."""


@dataclass(frozen=True)
class Agreement:
    """Kendall's tau of the rankings of some models by one metric under two segmenters."""

    first: str
    second: str
    metric: str
    num_models: int
    tau: float
    low: float
    high: float


@dataclass(frozen=True)
class Judged:
    """The scores of every model under one segmenter; models in the same order under each."""

    segmenter: str
    recorded: Mapping[str, Sequence[float]]  # by metric, a value a model
    resamples: Sequence[Resampled]


def agreements(judges: Sequence[Judged], metrics: Sequence[str]) -> list[Agreement]:
    """Compare all pairs of segmenters in all metrics; none of fewer than `FEWEST` models."""
    return [
        _agreement(one, other, metric)
        for one, other in combinations(judges, 2)
        for metric in metrics
        if len(one.resamples) >= FEWEST
    ]


def _agreement(one: Judged, other: Judged, metric: str) -> Agreement:
    values = [np.array(judge.recorded[metric]) for judge in (one, other)]
    tau = float(kendall(*(value[None] for value in values))[0])
    low, high = interval(kendall(_drawn(one, metric), _drawn(other, metric)))
    return Agreement(
        one.segmenter, other.segmenter, metric, len(values[0]), tau, float(low), float(high)
    )


def _drawn(judge: Judged, metric: str) -> Floats:
    """(R, models) scores of the resamples."""
    drawn = [resamples.of(metric) for resamples in judge.resamples]
    return np.stack([values for values in drawn if values is not None], axis=1)


def kendall(x: Floats, y: Floats) -> Floats:
    """Compute tau-b of each row of (R, M) scores: (R,); NaN where all of a side are equal.

    As `scipy.stats.kendalltau`, for all resamples at once.
    """
    first, second = (np.sign(side[:, :, None] - side[:, None, :]) for side in (x, y))
    concordance = (first * second).sum(axis=(1, 2))
    untied = (first**2).sum(axis=(1, 2)) * (second**2).sum(axis=(1, 2))
    with np.errstate(invalid="ignore"):
        return np.where(untied > 0, concordance / np.sqrt(np.maximum(untied, 1)), np.nan)
