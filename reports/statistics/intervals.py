# SPDX-License-Identifier: Apache-2.0
"""95% intervals of the scores of every row, from what its run stored for each image."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from spade_eval.metrics.counts import StoredCounts
from spade_eval.reports.measured.counts import average_of, counts_path
from spade_eval.reports.measured.grouping import ProtocolGroup, ProtocolKey, Row
from spade_eval.reports.statistics.bootstrap import (
    RESAMPLED_METRICS,
    draw_counts,
    drawn_images,
    interval,
    resampled,
)
from spade_eval.reports.statistics.stored_distances import left_out_distances

Interval = tuple[float, float]
# Of each protocol, {(row title, metric): (low, high)}; fractions as recorded.
Intervals = Mapping[ProtocolKey, Mapping[tuple[str, str], Interval]]


def intervals_of(
    groups: Sequence[ProtocolGroup], run_folders: Sequence[Path], *, thorough: bool = False
) -> Intervals:
    """Compute `row_intervals` of every group."""
    return {
        group.key: row_intervals(group.rows, run_folders, thorough=thorough) for group in groups
    }


def row_intervals(
    table_rows: Sequence[Row], run_folders: Sequence[Path], *, thorough: bool = False
) -> Mapping[tuple[str, str], Interval]:
    """Return {(row title, metric): (low, high)}, fractions as recorded.

    Bootstrap over images for what counts make; jackknife for distances, which on Inception
    features takes about a minute a row and is left to `thorough`.
    """
    intervals: dict[tuple[str, str], Interval] = {}
    for row in table_rows:
        folder = home_of(row, run_folders)
        if folder is None:
            continue
        for metric, ends in _of_counts(row, folder).items():
            intervals[row.title, metric] = ends
        for metric, left_out in left_out_distances(row, folder, thorough=thorough).items():
            value = row.scores[metric].value
            if value is not None:
                intervals[row.title, metric] = left_out.interval(value)
    return intervals


def home_of(row: Row, run_folders: Sequence[Path]) -> Path | None:
    """Return the run folder that holds a row's per-image counts."""
    first = row.measurements[0]
    return next((run for run in run_folders if counts_path(run, first).is_file()), None)


def _of_counts(row: Row, folder: Path) -> dict[str, Interval]:
    counts = StoredCounts.load(counts_path(folder, row.measurements[0]))
    times = draw_counts(drawn_images(len(counts)))
    values = resampled(counts, times, average_of(row, counts))
    intervals = {}
    for metric in RESAMPLED_METRICS:
        drawn = values.of(metric)
        if metric in row.scores and drawn is not None:
            low, high = interval(drawn)
            intervals[metric] = (float(low), float(high))
    return intervals
