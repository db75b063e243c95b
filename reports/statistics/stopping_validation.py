# SPDX-License-Identifier: Apache-2.0
"""Whether scoring may be stopped at any look: the sequence of `--until`, measured.

Label maps are drawn one after another from a population whose scores are known, and looked at again
and again, as `--until` does. Counted is how often the confidence sequence leaves out the truth at
*some* look, and how often an interval of 95%, which holds at one N that was chosen before, does so.
False verdicts are of two methods that do not differ: a coin decides for each label map which of two
rows is called the one and which the other.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from spade_eval.metrics.count_influence import Floats, count_influence
from spade_eval.metrics.counts import StoredCounts
from spade_eval.metrics.stopping import StoppingRule, anytime_p_value, half_width
from spade_eval.reports.statistics.bootstrap import resampled
from spade_eval.reports.statistics.frechet_influence import standard_error_of
from spade_eval.reports.statistics.population import Counted, counts_where, drawn_counts
from spade_eval.reports.statistics.power import ERROR
from spade_eval.reports.statistics.stored_distances import NORMAL_QUANTILE
from spade_eval.reports.statistics.validation import mapped, pair_name

Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """One row, or the difference of two; shares of all draws, NaN where nothing is asked."""

    subject: str
    truth: float
    sequence: float  # draws in which the sequence leaves out the truth at some look
    interval: float  # the same of an interval of 95%
    interval_alone: float  # the same at the last look alone, which was chosen before
    false_verdicts: float = math.nan  # of a difference that is none, by the sequence at some look
    false_by_interval: float = math.nan
    ended: float = math.nan  # of a row: draws in which the rule is met
    least: float = math.nan  # images at which it is, and over the draws in which it is
    median: float = math.nan
    most: float = math.nan
    interval_there: float = math.nan  # of those, how often the interval leaves out the truth there


@dataclass(frozen=True)
class Looks:
    """What is seen of one row, or of a difference, at each of K looks."""

    counts: NDArray[np.int64]  # (K,) images
    values: Floats  # (K,)
    influences: tuple[Floats, ...]  # K of them, of as many images

    def __sub__(self, other: "Looks") -> "Looks":
        pairs = zip(self.influences, other.influences, strict=True)
        influences = tuple(mine - theirs for mine, theirs in pairs)
        return Looks(self.counts, self.values - other.values, influences)

    def outside_sequence(self, truth: float) -> Flags:
        """Return at which looks the confidence sequence leaves out a value."""
        return abs(self.values - truth) > np.array([half_width(item) for item in self.influences])

    def outside_interval(self, truth: float) -> Flags:
        """Return at which looks an interval of 95%, of that look alone, leaves out a value."""
        return abs(self.values - truth) > NORMAL_QUANTILE * self._errors()

    def verdicts(self) -> Flags:
        """Return at which looks a difference is shown, as rows of a rule are compared."""
        seen = zip(self.values, self._errors(), self.counts, strict=True)
        p_values = [anytime_p_value(float(v), float(e), int(n)) for v, e, n in seen]
        return np.array(p_values) <= ERROR

    def _errors(self) -> Floats:
        return np.array([standard_error_of(item) for item in self.influences])


@dataclass(frozen=True)
class _Seen:
    """One draw of one subject."""

    sequence: bool
    interval: bool
    interval_alone: bool
    false_verdict: bool = False
    false_by_interval: bool = False
    ended_at: int = 0  # images; 0 where the rule is not met
    interval_there: bool = False


def validate_stopping(
    population: Mapping[str, Counted],
    rule: StoppingRule,
    looks: Sequence[int],
    replications: int,
    seed: int = 0,
    *,
    workers: int = 1,
    progress: Callable[[], None] = lambda: None,
) -> Iterator[Stopped]:
    """Yield what is measured of every row and every pair of rows one below the other.

    `looks` are the numbers of images at which is looked, the last one the images of a draw. Each
    draw has a seed of its own, so processes (`workers`) change no number.
    """
    truths = {title: _score(row.counts, row, rule.metric) for title, row in population.items()}
    truths |= {pair_name(*both): truths[both[0]] - truths[both[1]] for both in pairwise(population)}
    found: dict[str, list[_Seen]] = {subject: [] for subject in truths}
    draw = partial(_draw, population, rule, looks, truths, seed)
    with mapped(workers) as map_draws:
        for seen_of in map_draws(draw, range(replications)):
            progress()
            for subject, seen in seen_of:
                found[subject].append(seen)
    for subject, draws in found.items():
        yield _summary(subject, truths[subject], draws, is_row=subject in population)


def _draw(
    population: Mapping[str, Counted],
    rule: StoppingRule,
    looks: Sequence[int],
    truths: Mapping[str, float],
    seed: int,
    number: int,
) -> list[tuple[str, _Seen]]:
    """Draw label maps once, and look at every row and pair of rows."""
    numbers = np.random.default_rng([seed, looks[-1], number])
    size = len(next(iter(population.values())).counts)
    places = numbers.integers(0, size, looks[-1])
    rows = {
        title: Counted(drawn_counts(row.counts, places), row.average)
        for title, row in population.items()
    }
    seen = {title: _looked(row, rule.metric, looks) for title, row in rows.items()}
    found = [(title, _of_row(row, seen[title], rule, truths[title])) for title, row in rows.items()]
    for one, other in pairwise(rows):
        coin = numbers.random(looks[-1]) < 0.5
        first, second = (
            Counted(counts_where(coin, rows[a].counts, rows[b].counts), rows[a].average)
            for a, b in ((one, other), (other, one))
        )
        null = _looked(first, rule.metric, looks) - _looked(second, rule.metric, looks)
        name = pair_name(one, other)
        found.append((name, _of_pair(seen[one] - seen[other], null, truths[name])))
    return found


def _looked(row: Counted, metric: str, looks: Sequence[int]) -> Looks:
    firsts = [_first(row.counts, count) for count in looks]
    influences = [count_influence(counts, metric, row.average) for counts in firsts]
    return Looks(
        np.array(looks),
        np.array([_score(counts, row, metric) for counts in firsts]),
        tuple(item for item in influences if item is not None),
    )


def _of_row(row: Counted, seen: Looks, rule: StoppingRule, truth: float) -> _Seen:
    outside = seen.outside_interval(truth)
    ended = next(
        (
            place
            for place, count in enumerate(seen.counts)
            if rule.is_met(_first(row.counts, int(count)), row.average)
        ),
        None,
    )
    return _Seen(
        sequence=bool(seen.outside_sequence(truth).any()),
        interval=bool(outside.any()),
        interval_alone=bool(outside[-1]),
        ended_at=0 if ended is None else int(seen.counts[ended]),
        interval_there=ended is not None and bool(outside[ended]),
    )


def _of_pair(difference: Looks, null: Looks, truth: float) -> _Seen:
    outside = difference.outside_interval(truth)
    return _Seen(
        sequence=bool(difference.outside_sequence(truth).any()),
        interval=bool(outside.any()),
        interval_alone=bool(outside[-1]),
        false_verdict=bool(null.verdicts().any()),
        false_by_interval=bool(null.outside_interval(0.0).any()),
    )


def _first(counts: StoredCounts, num_images: int) -> StoredCounts:
    return drawn_counts(counts, np.arange(num_images))


def _score(counts: StoredCounts, row: Counted, metric: str) -> float:
    found = resampled(counts, np.ones((1, len(counts))), row.average).of(metric)
    assert found is not None  # every metric of a rule is made by counts
    return float(found[0])


def _summary(subject: str, truth: float, draws: Sequence[_Seen], *, is_row: bool) -> Stopped:
    def share(name: str) -> float:
        return float(np.mean([getattr(item, name) for item in draws]))

    common = {name: share(name) for name in ("sequence", "interval", "interval_alone")}
    if not is_row:
        return Stopped(
            subject=subject, truth=truth, **common,
            false_verdicts=share("false_verdict"), false_by_interval=share("false_by_interval"),
        )  # fmt: skip
    ended = [item for item in draws if item.ended_at]
    if not ended:
        return Stopped(subject=subject, truth=truth, **common, ended=0.0)
    counts = [item.ended_at for item in ended]
    return Stopped(
        subject=subject, truth=truth, **common, ended=len(ended) / len(draws),
        least=min(counts), median=float(np.median(counts)), most=max(counts),
        interval_there=float(np.mean([item.interval_there for item in ended])),
    )  # fmt: skip
