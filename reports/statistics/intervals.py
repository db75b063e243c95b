# SPDX-License-Identifier: Apache-2.0
"""95% intervals of the scores of every row, from what its run stored for each image."""

import math
from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from spade_eval.metrics.draws import base_of
from spade_eval.metrics.stopping import half_width
from spade_eval.reports.measured.counts import counts_path
from spade_eval.reports.measured.failures import without_verdict
from spade_eval.reports.measured.grouping import (
    ProtocolGroup,
    ProtocolKey,
    Row,
    metric_names,
    value_of,
)
from spade_eval.reports.statistics.bootstrap import RESAMPLED_METRICS, interval
from spade_eval.reports.statistics.floors import Floor, floors_of
from spade_eval.reports.statistics.normalised import Normalised, Part, normalised_scores
from spade_eval.reports.statistics.sides import Side, tested
from spade_eval.reports.statistics.standings import Standing, standing_of
from spade_eval.reports.statistics.stored_distances import Corrected

Interval = tuple[float, float]
Place = tuple[str, str]  # (row title, metric)


@dataclass(frozen=True)
class Uncertainty:
    """What is known of the numbers of one protocol; fractions as recorded."""

    intervals: Mapping[Place, Interval]  # of distances: of the corrected value
    corrected: Mapping[Place, Corrected]  # of distances alone
    floors: Mapping[str, Floor] = field(default_factory=dict)  # of distances, by metric
    standings: Mapping[str, Standing] = field(default_factory=dict)  # of the models, by metric
    normalised: Mapping[str, Normalised] = field(default_factory=dict)  # mIoU, by row title


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
    sides: dict[str, Side] = {}
    parts: dict[str, Part] = {}
    num_models = sum(not row.is_reference for row in table_rows)
    for row in table_rows:
        folder = home_of(row, run_folders)
        if folder is None:
            continue
        side = Side.open(row, folder)
        for metric, ends in _of_counts(side).items():
            intervals[row.title, metric] = ends
        if (part := Part.of(side)) is not None:
            parts[row.title] = part
        for metric, distance in side.distances.items():
            found = corrected[row.title, metric] = distance.corrected
            if not math.isnan(found.low):
                intervals[row.title, metric] = (found.low, found.high)
        if num_models > 1 and not row.is_reference:
            sides[row.title] = side.settled()
    floors = [floors_of(table_rows, folder) for folder in run_folders]
    standings = standings_of(table_rows, sides)
    normalised = normalised_scores(table_rows, parts)
    return Uncertainty(intervals, corrected, dict(ChainMap(*floors)), standings, normalised)


def standings_of(table_rows: Sequence[Row], sides: Mapping[str, Side]) -> dict[str, Standing]:
    """Test all pairs of competing models in every metric that ranks, paired by image."""
    competing = [row for row in table_rows if row.competes and row.title in sides]
    standings, withheld = {}, without_verdict(table_rows)
    for metric in metric_names(competing):
        if metric in withheld:
            continue
        known = [row for row in competing if sides[row.title].has(metric)]
        if not known:
            continue
        values = {row.title: value_of(row.scores[metric]) for row in known}
        larger = known[0].scores[metric].larger_is_better
        standings[metric] = standing_of(values, larger, partial(_test, metric, sides))
    return standings


def _test(metric: str, sides: Mapping[str, Side], one: str, other: str) -> tuple[float, float]:
    found = tested(metric, sides[one], sides[other])
    return found.value, found.p_value


def home_of(row: Row, run_folders: Sequence[Path]) -> Path | None:
    """Return the run folder that holds a row's per-image counts."""
    first = row.measurements[0]
    return next((run for run in run_folders if counts_path(run, first).is_file()), None)


def _of_counts(side: Side) -> dict[str, Interval]:
    """Bootstrap; of a row that a rule ended, the confidence sequence at its last image."""
    intervals = {}
    for metric in side.row.scores:
        influence = side.influence(metric)
        if influence is None or base_of(metric) not in RESAMPLED_METRICS:
            continue
        if side.row.until is not None:
            value, half = value_of(side.row.scores[metric]), half_width(influence)
            intervals[metric] = (value - half, value + half)
        elif (drawn := side.resampled(metric)) is not None:
            low, high = interval(drawn)
            intervals[metric] = (float(low), float(high))
    return intervals
