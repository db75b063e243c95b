# SPDX-License-Identifier: Apache-2.0
"""Two rows of one protocol on the same label maps: their difference, its error, its p-value."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from spade_eval.metrics.count_influence import Floats, count_influence
from spade_eval.metrics.counts import ClassAverage, StoredCounts
from spade_eval.metrics.stopping import anytime_p_value
from spade_eval.reports.measured.counts import average_of, stored_counts
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
    StoredDistance,
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

    @classmethod
    def open(cls, row: Row, run_folder: Path) -> "Side":
        """Read what the run kept of a row."""
        counts = stored_counts(run_folder, row.measurements[0])
        average = "target" if counts is None else average_of(row, counts)
        return cls(row, counts, average, stored_distances(row, run_folder))

    @cached_property
    def resamples(self) -> Resampled | None:
        """The scores of the same resamples for every row."""
        if self.counts is None:
            return None
        times = draw_counts(drawn_images(len(self.counts)))
        return resampled(self.counts, times, self.average)

    @cached_property
    def _influences(self) -> dict[str, Floats | None]:
        return {}

    def influence(self, metric: str) -> Floats | None:
        """(N,) influence of each image on a metric that counts make."""
        if self.counts is None or metric not in self.row.scores:
            return None
        if metric not in self._influences:
            self._influences[metric] = count_influence(self.counts, metric, self.average)
        return self._influences[metric]

    def has(self, metric: str) -> bool:
        """Return whether anything is stored by which the metric could be compared."""
        return metric in self.distances or self.influence(metric) is not None

    def settled(self) -> "Side":
        """Return the same without features of images; see `StoredDistance.settled`."""
        distances = {
            metric: item.settled() if isinstance(item, StoredDistance) else item
            for metric, item in self.distances.items()
        }
        return Side(self.row, self.counts, self.average, distances)

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
    plain = value_of(subject.row.scores[metric]) - value_of(baseline.row.scores[metric])
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
