# SPDX-License-Identifier: Apache-2.0
"""Two rows of one protocol on the same label maps: their difference, its error, its p-value."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from spade_eval.metrics.count_influence import Floats, count_influence
from spade_eval.metrics.counts import ClassAverage, StoredCounts
from spade_eval.metrics.draws import (
    BEST,
    MEAN,
    POOLED,
    base_of,
    best_counts,
    over_of,
    pooled_counts,
)
from spade_eval.metrics.stopping import anytime_p_value
from spade_eval.records import Measurement
from spade_eval.reports.measured.counts import (
    average_of,
    require_pooled,
    stored_counts,
    stored_draws,
)
from spade_eval.reports.measured.grouping import Row, value_of
from spade_eval.reports.statistics.bootstrap import (
    Resampled,
    draw_counts,
    drawn_images,
    resampled,
)
from spade_eval.reports.statistics.frechet_influence import standard_error_of
from spade_eval.reports.statistics.seed_tests import two_sided_p
from spade_eval.reports.statistics.stored_distances import (
    AnyDistance,
    DistanceDifference,
    SettledDistance,
    difference_of,
    stored_distances,
)


@dataclass(frozen=True)
class Tested:
    """One row minus another in one metric; NaN where nothing is stored that would tell."""

    value: float
    standard_error: float
    p_value: float
    num_images: int


@dataclass(frozen=True)
class Side:
    """A row with everything that its intervals are made from."""

    row: Row
    counts: StoredCounts | None
    average: ClassAverage
    distances: Mapping[str, AnyDistance]
    draws: tuple[StoredCounts, ...] = ()  # all of them, where there are several

    @classmethod
    def open(cls, row: Row, run_folder: Path) -> "Side":
        """Read what the run kept of a row."""
        counts = stored_counts(run_folder, row.measurements[0])
        average = "target" if counts is None else average_of(row, counts)
        draws = tuple(stored_draws(run_folder, row.measurements[0]))
        if len(draws) > 1:
            require_pooled(row, draws, average)
        several = draws if len(draws) > 1 else ()
        return cls(row, counts, average, stored_distances(row, run_folder), several)

    @cached_property
    def resamples(self) -> Resampled | None:
        """The scores of the same resamples for every row; of several draws those of the first."""
        return None if self.counts is None else self._resampled(None)[0]

    def resampled(self, metric: str) -> Floats | None:
        """(R,) values of the same resamples of label maps; None where counts do not make it."""
        if self.counts is None or not self._over(over_of(metric)):
            return None
        found = [one.of(base_of(metric)) for one in self._resampled(over_of(metric))]
        known = [values for values in found if values is not None]
        return np.mean(known, axis=0) if known else None

    def influence(self, metric: str) -> Floats | None:
        """(N,) influence of each label map on a metric that counts make."""
        if self.counts is None or metric not in self.row.scores:
            return None
        if metric not in self._influences:
            parts = [
                count_influence(counts, base_of(metric), self.average)
                for counts in self._over(over_of(metric))
            ]
            known = [part for part in parts if part is not None]
            self._influences[metric] = np.mean(known, axis=0) if known else None
        return self._influences[metric]

    @cached_property
    def _influences(self) -> dict[str, Floats | None]:
        return {}

    @cached_property
    def _resampled_over(self) -> dict[str | None, list[Resampled]]:
        return {}

    def _resampled(self, over: str | None) -> list[Resampled]:
        """Score the resamples of what a number is over; of a mean, those of each draw."""
        if over not in self._resampled_over:
            assert self.counts is not None
            times = draw_counts(drawn_images(len(self.counts)))
            self._resampled_over[over] = [
                resampled(counts, times, self.average) for counts in self._over(over)
            ]
        return self._resampled_over[over]

    def _over(self, over: str | None) -> Sequence[StoredCounts]:
        """Return the counts whose scores are averaged; none where nothing of it is stored."""
        if over is None:
            return [] if self.counts is None else [self.counts]
        if not self.draws:
            return []
        if over == MEAN:
            return self.draws
        made = {POOLED: pooled_counts, BEST: best_counts}.get(over)
        return [] if made is None else [made(self.draws)]

    def has(self, metric: str) -> bool:
        """Return whether anything is stored by which the metric could be compared."""
        return metric in self.distances or self.influence(metric) is not None

    def settled(self) -> "Side":
        """Return the same without features of images; see `StoredDistance.settled`."""
        distances = {
            metric: item if isinstance(item, SettledDistance) else item.settled()
            for metric, item in self.distances.items()
        }
        return Side(self.row, self.counts, self.average, distances, self.draws)

    def first(self, num_images: int) -> "Side":
        """Return the counts of the first images alone."""
        counts = self.counts
        if counts is None or len(counts) == num_images:
            return self
        first = StoredCounts(
            counts.names[:num_images], counts.counts[:num_images], counts.num_ignored[:num_images]
        )
        return Side(self.row, first, self.average, {})


def tested(metric: str, subject: Side, baseline: Side) -> Tested:
    """Compare two rows in a metric that both have."""
    first_item, second_item = subject.row.scores[metric], baseline.row.scores[metric]
    plain = value_of(first_item) - value_of(second_item)
    if not are_alike(first_item, second_item):
        return Tested(plain, math.nan, math.nan, 0)
    if metric in subject.distances and metric in baseline.distances:
        first, second = subject.distances[metric], baseline.distances[metric]
        if first.num_images == second.num_images:
            return _of_distances(difference_of(first, second), first.num_images)
    if subject.row.until is not None:
        return _of_stopped(metric, subject, baseline)
    mine, other = subject.influence(metric), baseline.influence(metric)
    if mine is None or other is None or not _same_images(subject, baseline):
        return Tested(plain, math.nan, math.nan, 0)
    error = standard_error_of(mine - other)
    return Tested(plain, error, p_value_of(plain, error), len(mine))


def are_alike(one: Measurement, other: Measurement) -> bool:
    """Return whether numbers are over as many draws: pooled over more, a distance has less bias.

    A mean of draws has that of each of them, however many there are.
    """
    return one.draws in (None, MEAN) or one.num_draws == other.num_draws


def _of_distances(found: DistanceDifference, num_images: int) -> Tested:
    p_value = p_value_of(found.value, found.standard_error, found.degrees)
    return Tested(found.value, found.standard_error, p_value, num_images)


def _of_stopped(metric: str, subject: Side, baseline: Side) -> Tested:
    """Compare on the images that both have, by the confidence sequence: N was not chosen before."""
    nothing = Tested(math.nan, math.nan, math.nan, 0)
    if subject.counts is None or baseline.counts is None:
        return nothing
    count = min(len(subject.counts), len(baseline.counts))
    one, two = subject.first(count), baseline.first(count)
    mine, other = one.influence(metric), two.influence(metric)
    if mine is None or other is None or not _same_images(one, two):
        return nothing
    value = _score(one, metric) - _score(two, metric)
    error = standard_error_of(mine - other)
    return Tested(value, error, anytime_p_value(value, error, count), count)


def _score(side: Side, metric: str) -> float:
    assert side.counts is not None
    found = resampled(side.counts, np.ones((1, len(side.counts))), side.average).of(metric)
    return math.nan if found is None else float(found[0])


def _same_images(one: Side, two: Side) -> bool:
    return (
        one.counts is not None and two.counts is not None and one.counts.names == two.counts.names
    )


def p_value_of(difference: float, error: float, degrees: float = math.inf) -> float:
    """Return the two-sided p-value of a difference; NaN where it or its error is unknown."""
    if math.isnan(error) or math.isnan(difference):
        return math.nan
    if error == 0:
        return 0.0 if difference else 1.0
    return two_sided_p(difference / error, degrees)
