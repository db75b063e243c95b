# SPDX-License-Identifier: Apache-2.0
"""What a budget will be able to show, before anything is made: of images, and of seeds and steps.

Spreads and times come from records where there are any; else they are assumed, and said to be.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from spade_eval.papers.tables import UNTRAINED, PaperTable
from spade_eval.records import Measurement
from spade_eval.reports.measured.grouping import Row, by_protocol, metric_names
from spade_eval.reports.measured.seeds import seeded_rows
from spade_eval.reports.statistics.over_seeds import values_by_seed
from spade_eval.reports.statistics.power import (
    images_needed,
    smallest_between_seeds,
    smallest_difference,
)
from spade_eval.reports.statistics.seed_tests import FIRST_VERDICT, paired_deviation
from spade_eval.reports.statistics.sides import Side, tested

# SPADE against concat in the default benchmark, 300 steps, 500 scenes of 64x64: what one image adds
# to the spread of their difference, and the number of images there.
ASSUMED_IMAGES = 500
ASSUMED_DEVIATIONS = {  # metric: (label, unit, standard deviation of one image's influence)
    "miou": ("mIoU", "%", 0.114),
    "acc_valid": ("accuracy (valid)", "%", 0.110),
    "fwiou": ("fwIoU", "%", 0.119),
    "fd_in_domain": ("FD (in-domain)", "", 0.686),
}
# Three baselines trained again, 300 steps: at another commit -2.6, -2.8, +1.6 points of mIoU apart,
# with another number of threads -7.2, -2.3 and +3.1. A difference of two methods has the noise of
# two trainings: sqrt(2) sqrt(mean d² / 2).
_AGAIN = (-0.026, -0.028, 0.016, -0.072, -0.023, 0.031)
ASSUMED_SEED_DEVIATION = math.sqrt(sum(apart**2 for apart in _AGAIN) / len(_AGAIN))
# Spade, concat and clade take 0.15 to 0.22 s there, scoring included.
ASSUMED_STEPS, ASSUMED_SECONDS_PER_STEP = 600, 0.2
_FACTORS = (0.5, 1, 2, 4)


@dataclass(frozen=True)
class PlannedMetric:
    """What images show of one metric of a pair of rows."""

    label: str
    unit: str
    found: float  # difference in the records; NaN where it is assumed
    num_images: int
    smallest: float  # that so many images show
    needed: float  # images that show the difference asked for, or that found


def plan_of_rows(
    one: Row, other: Row, folder: Path, images: int | None, difference: float | None
) -> list[PlannedMetric]:
    """Plan from what a run kept of two rows; `difference` is of metrics in %, as a fraction."""
    sides = Side.open(one, folder), Side.open(other, folder)
    planned = []
    for metric in metric_names([one]):
        item = one.scores[metric]
        if metric not in other.scores or not all(side.has(metric) for side in sides):
            continue
        found = tested(metric, *sides)
        deviation = found.standard_error * math.sqrt(found.num_images)
        if not math.isnan(deviation):
            planned.append(
                _planned(item.label, item.unit, found.value, deviation,
                         images or found.num_images, difference)
            )  # fmt: skip
    return planned


def assumed_plan(images: int | None, difference: float | None) -> list[PlannedMetric]:
    """Plan without records."""
    return [
        _planned(label, unit, math.nan, deviation, images or ASSUMED_IMAGES, difference)
        for label, unit, deviation in ASSUMED_DEVIATIONS.values()
    ]


def _planned(
    label: str,
    unit: str,
    found: float,
    deviation: float,
    num_images: int,
    difference: float | None,
) -> PlannedMetric:
    error = deviation / math.sqrt(num_images)
    wanted = found if difference is None else difference
    needed = images_needed(wanted, error, num_images)
    if difference is not None and unit != "%":
        needed = math.nan
    return PlannedMetric(label, unit, found, num_images, smallest_difference(error), needed)


@dataclass(frozen=True)
class PlannedSeeds:
    """What fits into a time at one length of training."""

    steps: int
    hours: float  # of one seed of all models
    seeds: int
    smallest: float  # detectable difference of one pair
    smallest_of_all: float  # with all pairs of a table held together


@dataclass(frozen=True)
class SeedPlan:
    """The plan of a table, and what of it was assumed."""

    lines: tuple[PlannedSeeds, ...]
    num_models: int
    num_pairs: int
    deviation: float  # of paired differences of mIoU, from seed to seed
    assumed: tuple[str, ...]


def plan_of_table(
    table: PaperTable, measurements: Sequence[Measurement], hours: float, pairs: int
) -> SeedPlan:
    """Plan the trainings of a table: seeds that fit into the hours, and what they will show.

    `pairs` are those whose differences the table is about, held together.
    """
    seconds = _seconds_per_step(measurements)
    steps = statistics.mode(
        [item.train_steps for item in measurements if item.train_steps] or [ASSUMED_STEPS]
    )
    deviation, assumed = _seed_deviation(measurements)
    # Another row's network, or of a loss whose weights are mostly not there.
    models = [model for model in table.models if model in seconds or model not in UNTRAINED]
    unknown = [model for model in models if model not in seconds]
    usual = statistics.median(seconds.values()) if seconds else ASSUMED_SECONDS_PER_STEP
    assumed += _assumed_times(unknown, len(models), usual)
    a_step = sum(seconds.get(model, usual) for model in models)
    lines = []
    for factor in _FACTORS:
        length = max(1, round(factor * steps))
        a_seed = length * a_step / 3600
        count = int(hours / a_seed)
        lines.append(
            PlannedSeeds(
                length, a_seed, count,
                smallest_between_seeds(deviation, count),
                smallest_between_seeds(deviation, count, pairs),
            )
        )  # fmt: skip
    return SeedPlan(tuple(lines), len(models), pairs, deviation, tuple(assumed))


def _seconds_per_step(measurements: Iterable[Measurement]) -> Mapping[str, float]:
    """Return the median of each model's jobs, scoring included, by model."""
    of_jobs: dict[str, dict[str, float]] = {}
    for item in measurements:
        if item.source_kind == "generator" and item.train_steps:
            of_jobs.setdefault(item.source, {})[item.job_sha256] = item.seconds / item.train_steps
    return {model: statistics.median(jobs.values()) for model, jobs in of_jobs.items()}


def _seed_deviation(measurements: Sequence[Measurement]) -> tuple[float, list[str]]:
    """Return the median deviation of paired differences of mIoU over seeds, and what is assumed."""
    deviations = [
        paired_deviation([mine[seed] for seed in common], [other[seed] for seed in common])
        for mine, other in _paired_values(measurements)
        if len(common := [seed for seed in mine if seed in other]) >= FIRST_VERDICT
    ]
    if deviations:
        return statistics.median(deviations), []
    return ASSUMED_SEED_DEVIATION, [
        "that deviation, of three baselines of the default benchmark trained twice, since no "
        "records have three seeds of two rows"
    ]


def _paired_values(
    measurements: Sequence[Measurement],
) -> Iterable[tuple[Mapping[int | None, float], Mapping[int | None, float]]]:
    for group in by_protocol(measurements):
        rows = [row for row in seeded_rows(group) if row.kind == "generator"]
        yield from combinations([values_by_seed(row, "miou") for row in rows], 2)


def _assumed_times(unknown: Sequence[str], count: int, usual: float) -> list[str]:
    if not unknown:
        return []
    if len(unknown) == count:
        return [
            f"a step takes {usual:g} s, as the default benchmark's on two cores of a CPU, since no "
            "records hold a model of the table"
        ]
    return [
        f"a step of {', '.join(unknown)} takes {usual:.2g} s, the median of the models recorded"
    ]
