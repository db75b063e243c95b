# SPDX-License-Identifier: Apache-2.0
"""Numbers over several images of each label map, computed again from what a run kept of each draw.

As `numbers.py`, whose numbers are those of the first draw.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spade_eval.metrics.draws import (
    BEST,
    MEAN,
    POOLED,
    best_counts,
    column_over,
    draw_name,
    pooled_counts,
)
from spade_eval.records import Measurement
from spade_eval.reports.measured.counts import (
    average_of,
    draws_of,
    features_path,
    require_pooled,
    stored_draws,
)
from spade_eval.reports.measured.grouping import Row
from spade_eval.reports.statistics.bootstrap import RESAMPLED_METRICS, Resampled, resampled

if TYPE_CHECKING:
    from spade_eval.metrics.recomputed import RecordedSpace

Key = tuple[str, str | None]
"""Metric, and class where the number is of one."""


def of_drawn_counts(row: Row, folder: Path) -> dict[Key, float | None]:
    """Scores over several draws, by what they are over."""
    draws = stored_draws(folder, row.measurements[0])
    if len(draws) < 2:
        return {}
    average = average_of(row, draws[0])
    require_pooled(row, draws, average)
    singles = [resampled(draw, np.ones((1, len(draw))), average) for draw in draws]
    of_all = {POOLED: pooled_counts(draws), BEST: best_counts(draws)}
    scored = {over: resampled(counts, np.ones((1, len(counts))), average)
              for over, counts in of_all.items()}  # fmt: skip
    scored |= {draw_name(k): single for k, single in enumerate(singles[1:], start=2)}
    computed: dict[Key, float | None] = {}
    for metric in RESAMPLED_METRICS:
        computed |= {
            (column_over(metric, over), None): none_for_nan(_value(made, metric))
            for over, made in scored.items()
            if over != BEST or column_over(metric, BEST) in row.scores
        }
        mean = float(np.mean([_value(single, metric) for single in singles]))
        computed[column_over(metric, MEAN), None] = none_for_nan(mean)
    return computed


def _value(made: Resampled, metric: str) -> float:
    values = made.of(metric)
    assert values is not None
    return float(values[0])


def of_drawn_features(
    space: "RecordedSpace",
    real: Path,
    item: Measurement,
    folder: Path,
    first: Mapping[str, float | None],
) -> dict[str, float | None]:
    """Numbers of a feature network over several draws, of which the first are known."""
    from spade_eval.metrics.recomputed import from_features

    made = [features_path(folder, item, draw) for draw in draws_of(item)]
    if len(made) < 2 or not all(path.is_file() for path in made):
        return {}
    further = [from_features(space, real, path) for path in made[1:]]
    pooled = from_features(space, real, *made)
    computed = {column_over(name, POOLED): value for name, value in pooled.items()}
    for number, numbers in enumerate(further, start=2):
        computed |= {column_over(name, draw_name(number)): value for name, value in numbers.items()}
    for name in first:
        known = [numbers[name] for numbers in (first, *further)]
        values = [value for value in known if value is not None]
        mean = math.fsum(values) / len(values) if len(values) == len(known) else None
        computed[column_over(name, MEAN)] = mean
    return computed


def none_for_nan(value: float) -> float | None:
    """Return the number, or None where there is none."""
    return None if np.isnan(value) else float(value)
