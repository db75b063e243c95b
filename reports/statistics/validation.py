# SPDX-License-Identifier: Apache-2.0
"""Whether intervals hold what they say: coverage, width, false verdicts and power, measured.

N label maps are drawn independently from a population whose scores are known (`population.py`), and
every interval is made as a report makes it. Counted is how often it holds the truth. False verdicts
are of two methods that do not differ: a coin decides for each label map which of two rows is called
the one and which the other.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from typing import Any

import numpy as np

from spade_eval.reports.statistics.bootstrap import Resampled, draw_counts, drawn_images, interval
from spade_eval.reports.statistics.feature_distances import frechet
from spade_eval.reports.statistics.jackknife import FEWEST_IMAGES, Floats
from spade_eval.reports.statistics.population import KERNEL, Images, Population
from spade_eval.reports.statistics.stored_distances import (
    NORMAL_QUANTILE,
    StoredDistance,
    difference_of,
)

COUNTED = ("miou", "acc_valid", "fwiou")
IOU = "iou"
_DRAWS_AT_ONCE = 10  # of a process, which is sent the population each time
Estimates = dict[str, tuple[float, float, float]]  # estimate and ends, by metric


@dataclass(frozen=True)
class Validated:
    """One metric of one row, or of the difference of two, at one N; NaN where nothing is known."""

    metric: str
    subject: str
    num_images: int
    truth: float
    bias: float  # mean estimate minus truth
    deviation: float  # over replications
    coverage: float  # share of intervals that hold the truth
    width: float  # mean, over 3.92 deviations
    verdicts: float = math.nan  # of a difference: share of intervals without 0
    predicted: float = math.nan  # that share, by the normal law with this deviation
    false_verdicts: float = math.nan  # the same share where there is no difference


def validate(
    population: Population,
    sizes: Sequence[int],
    replications: int,
    seed: int = 0,
    *,
    workers: int = 1,
    progress: Callable[[int], None] = lambda num_images: None,
) -> Iterator[Validated]:
    """Yield what is measured of every metric, row and pair of rows one below the other, N by N.

    Each draw has a seed of its own, so processes (`workers`) change no number.
    """
    truths = _truths(population)
    with mapped(workers) as map_draws:
        for num_images in sizes:
            found: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
            draw = partial(_draw, population, num_images, seed)
            for estimates_of in map_draws(draw, range(replications)):
                progress(num_images)
                for subject, estimates in estimates_of:
                    for metric, triple in estimates.items():
                        found.setdefault((subject, metric), []).append(triple)
            yield from _summaries(found, truths, num_images)


@contextmanager
def mapped(workers: int) -> Iterator[Callable[..., Iterable[Any]]]:
    """Give `map`, or that of so many processes, which start anew: others may hold threads."""
    if workers == 1:
        yield map
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        yield partial(pool.map, chunksize=_DRAWS_AT_ONCE)


def _draw(
    population: Population, num_images: int, seed: int, number: int
) -> list[tuple[str, Estimates]]:
    """Make every interval of one draw."""
    numbers = np.random.default_rng([seed, num_images, number])
    return list(_replication(population, num_images, numbers))


def pair_name(one: str, other: str) -> str:
    """Name the difference of two rows."""
    return f"{one} - {other}"


def _null_name(pair: str) -> str:
    return f"coin: {pair}"


def _truths(population: Population) -> dict[tuple[str, str], float]:
    """{(subject, metric): value of the population}."""
    truths = {}
    for title, images in population.rows.items():
        scores = images.scores()
        for metric in COUNTED:
            truths[title, metric] = float(getattr(scores, metric)[0])
        for place, value in enumerate(scores.iou[0]):
            truths[title, f"{IOU} {place}"] = float(value)
        for metric in (population.frechet, KERNEL):
            truths[title, metric] = images.population_distance(metric)
    for one, other in pairwise(population.rows):
        for metric in (*COUNTED, population.frechet, KERNEL):
            truths[pair_name(one, other), metric] = truths[one, metric] - truths[other, metric]
            truths[_null_name(pair_name(one, other)), metric] = 0.0
    return truths


def _replication(
    population: Population, num_images: int, numbers: np.random.Generator
) -> Iterator[tuple[str, Estimates]]:
    """Draw label maps once, and make every interval of every row and pair of rows from them."""
    places = numbers.integers(0, population.size, num_images)
    drawn = {title: images.drawn(places) for title, images in population.rows.items()}
    times = draw_counts(drawn_images(num_images, seed=int(numbers.integers(2**31))))
    sides = {title: _Side(images, times, population.frechet) for title, images in drawn.items()}
    for title, side in sides.items():
        yield title, side.estimates()
    for one, other in pairwise(drawn):
        yield pair_name(one, other), sides[one].against(sides[other])
        coin = numbers.random(num_images) < 0.5
        first, second = (
            _Side(drawn[a].where(coin, drawn[b]), times, population.frechet)
            for a, b in ((one, other), (other, one))
        )
        yield _null_name(pair_name(one, other)), first.against(second)


class _Side:
    """A drawn row with all that its intervals are made from."""

    def __init__(self, images: Images, times: Floats, metric: str) -> None:
        self.scores: Resampled = images.scores()
        self.resamples: Resampled = images.scores(times)
        sets = images.photos, images.features
        self.distances: Mapping[str, StoredDistance] = {}
        if len(images.photos) >= FEWEST_IMAGES:
            self.distances = {
                metric: StoredDistance(metric, frechet(*sets), *sets),
                KERNEL: StoredDistance(KERNEL, math.nan, *sets),
            }

    def estimates(self) -> Estimates:
        found: Estimates = {}
        for metric in COUNTED:
            low, high = interval(getattr(self.resamples, metric))
            found[metric] = (float(getattr(self.scores, metric)[0]), float(low), float(high))
        lows, highs = interval(self.resamples.iou)
        for place, ends in enumerate(zip(self.scores.iou[0], lows, highs, strict=True)):
            found[f"{IOU} {place}"] = (float(ends[0]), float(ends[1]), float(ends[2]))
        for metric, distance in self.distances.items():
            item = distance.corrected
            found[metric] = (item.value, item.low, item.high)
        return found

    def against(self, other: "_Side") -> Estimates:
        found: Estimates = {}
        for metric in COUNTED:
            low, high = interval(getattr(self.resamples, metric) - getattr(other.resamples, metric))
            value = getattr(self.scores, metric)[0] - getattr(other.scores, metric)[0]
            found[metric] = (float(value), float(low), float(high))
        for metric in self.distances:
            item = difference_of(self.distances[metric], other.distances[metric])
            found[metric] = (item.value, item.low, item.high)
        return found


def _summaries(
    found: Mapping[tuple[str, str], Sequence[tuple[float, float, float]]],
    truths: Mapping[tuple[str, str], float],
    num_images: int,
) -> Iterator[Validated]:
    for (subject, metric), triples in found.items():
        null = (_null_name(subject), metric)
        if subject.startswith(_null_name("")):
            continue
        values = np.array(triples)
        values = values[~np.isnan(values).any(axis=1)]
        truth = truths[subject, metric]
        if len(values) < 2 or math.isnan(truth):
            continue
        estimates, lows, highs = values.T
        deviation = float(estimates.std(ddof=1))
        is_pair = null in found
        yield Validated(
            metric=metric,
            subject=subject,
            num_images=num_images,
            truth=truth,
            bias=float(estimates.mean() - truth),
            deviation=deviation,
            coverage=float(((lows <= truth) & (truth <= highs)).mean()),
            width=float((highs - lows).mean() / (2 * NORMAL_QUANTILE * deviation or math.nan)),
            verdicts=_share_without_zero(values) if is_pair else math.nan,
            predicted=_power(truth, deviation) if is_pair else math.nan,
            false_verdicts=_share_without_zero(np.array(found[null])) if is_pair else math.nan,
        )


def _share_without_zero(triples: Floats) -> float:
    return float(((triples[:, 1] > 0) | (triples[:, 2] < 0)).mean())


def _power(difference: float, deviation: float) -> float:
    """Share of verdicts where estimates are normal with this deviation."""
    if deviation == 0:
        return math.nan
    shift = abs(difference) / deviation
    return _normal(shift - NORMAL_QUANTILE) + _normal(-shift - NORMAL_QUANTILE)


def _normal(value: float) -> float:
    return (1 + math.erf(value / math.sqrt(2))) / 2
