# SPDX-License-Identifier: Apache-2.0
"""95% intervals of the scores of every row, from what its run stored for each image."""

import math
from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
from spade_eval.reports.statistics.floors import Floor, floors_of
from spade_eval.reports.statistics.stored_distances import Corrected, stored_distances

Interval = tuple[float, float]
Place = tuple[str, str]  # (row title, metric)


@dataclass(frozen=True)
class Uncertainty:
    """What is known of the numbers of one protocol; fractions as recorded."""

    intervals: Mapping[Place, Interval]  # of distances: of the corrected value
    corrected: Mapping[Place, Corrected]  # of distances alone
    floors: Mapping[str, Floor] = field(default_factory=dict)  # of distances, by metric


Uncertainties = Mapping[ProtocolKey, Uncertainty]


def uncertainties_of(groups: Sequence[ProtocolGroup], run_folders: Sequence[Path]) -> Uncertainties:
    """Compute `row_uncertainty` of every group."""
    return {group.key: row_uncertainty(group.rows, run_folders) for group in groups}


def row_uncertainty(table_rows: Sequence[Row], run_folders: Sequence[Path]) -> Uncertainty:
    """Bootstrap what counts make over the images; correct distances by the jackknife in pairs.

    The latter takes about a minute a row on thousands of images of Inception features, once.
    """
    intervals: dict[Place, Interval] = {}
    corrected: dict[Place, Corrected] = {}
    for row in table_rows:
        folder = home_of(row, run_folders)
        if folder is None:
            continue
        for metric, ends in _of_counts(row, folder).items():
            intervals[row.title, metric] = ends
        for metric, distance in stored_distances(row, folder).items():
            found = corrected[row.title, metric] = distance.corrected
            if not math.isnan(found.low):
                intervals[row.title, metric] = (found.low, found.high)
    floors = [floors_of(table_rows, folder) for folder in run_folders]
    return Uncertainty(intervals, corrected, dict(ChainMap(*floors)))


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
