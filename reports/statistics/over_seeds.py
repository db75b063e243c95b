# SPDX-License-Identifier: Apache-2.0
"""What several trainings of a row tell: of its method over seeds, of its checkpoints over images.

The two are different questions. An interval over images holds these checkpoints fixed and asks for
other label maps; an interval over seeds holds the images fixed and asks for other trainings.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from spade_eval.reports.measured.grouping import value_of
from spade_eval.reports.measured.seeds import SeededRow, withheld_of_seeds
from spade_eval.reports.statistics.frechet_influence import standard_error_of
from spade_eval.reports.statistics.intervals import home_of
from spade_eval.reports.statistics.jackknife import Floats
from spade_eval.reports.statistics.power import smallest_between_seeds
from spade_eval.reports.statistics.seed_tests import (
    FIRST_VERDICT,
    paired_deviation,
    seed_interval,
    seed_p_value,
)
from spade_eval.reports.statistics.sides import Side
from spade_eval.reports.statistics.standings import NOTHING_TESTED, Standing, standing_of
from spade_eval.reports.statistics.stored_distances import NORMAL_QUANTILE

Interval = tuple[float, float]
_UNKNOWN = (math.nan, math.nan)
BySeed = Mapping[str, Mapping[int | None, float]]  # values by title and seed


@dataclass(frozen=True)
class SeedResults:
    """One column over seeds: how its rows stand, and what so many seeds could have shown."""

    standing: Standing
    num_seeds: int  # of the row with the fewest that is tested; 0 where none is
    smallest: tuple[float, float]  # detectable difference of the surest and of the least sure pair
    values: BySeed  # of every row


NO_RESULTS = SeedResults(NOTHING_TESTED, 0, _UNKNOWN, {})


def values_by_seed(row: SeededRow, metric: str) -> dict[int | None, float]:
    """Return the value of a metric of every seed."""
    return {
        version.measurements[0].seed: value_of(version.scores.get(metric))
        for version in row.versions
    }


def results_of(
    rows: Mapping[str, SeededRow],
    metrics: Mapping[str, Mapping[str, Any]],
    table_rows: Sequence[SeededRow],
) -> dict[str, SeedResults]:
    """Test all pairs of these rows, by title, in each metric; `metrics` say which is better.

    `table_rows` are those and the bounds that they stand beside: of a metric which ranks no row of
    such a table, `NO_RESULTS`.
    """
    withheld = withheld_of_seeds(table_rows)
    return {
        metric: NO_RESULTS
        if metric in withheld
        else seed_results(
            {title: values_by_seed(row, metric) for title, row in rows.items()},
            about["larger_is_better"],
        )
        for metric, about in metrics.items()
    }


def seed_results(values: BySeed, larger_is_better: bool) -> SeedResults:
    """Test all pairs of rows with three seeds or more, paired by seed."""
    tested = {title: of for title, of in values.items() if _count(of) >= FIRST_VERDICT}
    if len(tested) < 2:
        return replace(NO_RESULTS, values=values)

    def test(one: str, other: str) -> tuple[float, float]:
        mine, theirs = aligned(tested[one], tested[other])
        p_value = seed_p_value(mine, theirs)
        return (math.nan if math.isnan(p_value) else float(np.nanmean(mine - theirs))), p_value

    means = {title: float(np.nanmean(list(of.values()))) for title, of in tested.items()}
    standing = standing_of(means, larger_is_better, test)
    sizes = list(_detectable(tested, standing.num_pairs))
    counts = [_count(of) for of in tested.values()]
    ends = (min(sizes), max(sizes)) if sizes else _UNKNOWN
    return SeedResults(standing, min(counts), ends, values)


def _detectable(values: BySeed, num_pairs: int) -> Iterable[float]:
    for one, other in combinations(values, 2):
        mine, theirs = aligned(values[one], values[other])
        count = int((~np.isnan(mine - theirs)).sum())
        yield smallest_between_seeds(paired_deviation(mine, theirs), count, max(num_pairs, 1))


def over_seeds(row: SeededRow, metric: str) -> Interval:
    """Return the 95% interval of the method's mean over seeds; NaN for one training.

    Student's of two seeds is wider than scores are, and ends where they do.
    """
    low, high = seed_interval(list(values_by_seed(row, metric).values()))
    items = (version.scores.get(metric) for version in row.versions)
    is_share = any(item is not None and item.unit == "%" for item in items)
    return (low, high) if math.isnan(low) else (max(low, 0.0), min(high, 1.0 if is_share else high))


def difference_over_seeds(
    mine: SeededRow, other: SeededRow, metric: str
) -> tuple[float, Interval, int]:
    """Return the mean difference of a metric paired by seed, its 95% interval, and the seeds.

    Of one difference that was asked for beforehand: no other pair is tested with it.
    """
    one, against = aligned(values_by_seed(mine, metric), values_by_seed(other, metric))
    differences = one - against
    differences = differences[~np.isnan(differences)]
    mean = float(differences.mean()) if len(differences) else math.nan
    return mean, seed_interval(differences), len(differences)


class ImageIntervals:
    """Intervals over images of the mean of a row's trainings, from what their runs kept."""

    def __init__(self, run_folders: Sequence[Path]) -> None:
        self.run_folders = run_folders
        self._title, self._sides = "", list[Side]()

    def of(self, row: SeededRow, metric: str) -> Interval:
        """Return the 95% interval of the mean of these checkpoints; of a distance, without bias."""
        found = [_estimate(side, metric) for side in self._opened(row)]
        known = [item for item in found if item is not None]
        if not known or len(known) < len(row.versions):
            return _UNKNOWN
        influences = [influence for _, influence in known]
        if len({len(influence) for influence in influences}) > 1:
            return _UNKNOWN
        centre = float(np.mean([value for value, _ in known]))
        half = NORMAL_QUANTILE * standard_error_of(np.mean(influences, axis=0))
        return max(centre - half, 0.0), centre + half

    def _opened(self, row: SeededRow) -> list[Side]:
        if row.title != self._title:  # features of one row at a time
            homes = [(version, home_of(version, self.run_folders)) for version in row.versions]
            sides = [Side.open(version, home) for version, home in homes if home is not None]
            # Paired over seeds: the same images in the same order.
            names = {side.counts.names for side in sides if side.counts is not None}
            self._title, self._sides = row.title, sides if len(names) == 1 else []
        return self._sides


def _estimate(side: Side, metric: str) -> tuple[float, Floats] | None:
    """Return value and influence of each image, None where they are not known."""
    if side.row.until is not None:
        return None
    distance = side.distances.get(metric)
    if distance is not None:
        value = distance.corrected.value
        return None if math.isnan(value) or not value else (value, distance.influence)
    influence = side.influence(metric)
    return None if influence is None else (value_of(side.row.scores[metric]), influence)


def aligned(
    mine: Mapping[int | None, float], other: Mapping[int | None, float]
) -> tuple[Floats, Floats]:
    """Return the values of all seeds of either, in one order; NaN where a seed has none."""
    seeds = list(dict.fromkeys([*mine, *other]))
    values = [[of.get(seed, math.nan) for seed in seeds] for of in (mine, other)]
    return np.array(values[0]), np.array(values[1])


def _count(values: Mapping[int | None, float]) -> int:
    return sum(not math.isnan(value) for value in values.values())
