# SPDX-License-Identifier: Apache-2.0
"""The measurement of `--until`, against a plain form written from the formulas alone."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from spade_eval.metrics.counts import StoredCounts
from spade_eval.metrics.stopping import StoppingRule
from spade_eval.reports.statistics import stopping_validation
from spade_eval.reports.statistics.population import Counted
from spade_eval.reports.statistics.stopping_validation import Stopped, validate_stopping

SIZE, DRAWS, LOOKS = 600, 60, range(100, 401, 50)
RULE = StoppingRule.parse("acc_valid+-4")
Floats = NDArray[np.float64]


def row(skill: float, seed: int) -> Counted:
    """Two classes; what an image is good for differs from image to image."""
    numbers = np.random.default_rng(seed)
    target = np.random.default_rng(99).integers(20, 60, (SIZE, 2))
    hits = numbers.binomial(target, np.clip(skill + numbers.normal(0, 0.15, (SIZE, 1)), 0, 1))
    wrong = (target - hits)[:, ::-1]  # of two classes the other one is said
    counts = np.stack([hits, target, hits + wrong], axis=1).astype(np.uint32)
    names = tuple(map(str, range(SIZE)))
    return Counted(StoredCounts(names, counts, np.zeros(SIZE, np.uint32)), "target")


POPULATION = {"one": row(0.7, 1), "other": row(0.68, 2)}


@pytest.fixture(scope="module")
def measured() -> dict[str, Stopped]:
    return {item.subject: item for item in found(DRAWS)}


def found(draws: int, workers: int = 1, looks: Sequence[int] = LOOKS) -> list[Stopped]:
    return list(validate_stopping(POPULATION, RULE, looks, draws, seed=5, workers=workers))


def accuracy(counts: Floats) -> tuple[float, float]:
    """Accuracy of (N, 3, C) counts and its standard error, that of a ratio of two sums."""
    hits, pixels = counts[:, 0].sum(axis=1), counts[:, 1].sum(axis=1)
    value = hits.sum() / pixels.sum()
    rest = hits - value * pixels
    return value, math.sqrt(len(hits)) * rest.std(ddof=1) / pixels.sum()


def width(count: int) -> float:
    """The mixture of Robbins at 5%, narrowest about 500 images, in standard errors."""
    r = (-2 * math.log(0.05) + math.log(1 - 2 * math.log(0.05))) / 500
    grown = count * r + 1
    return math.sqrt(2 * grown / (count * r) * math.log(math.sqrt(grown) / 0.05))


def test_rows_are_counted_as_by_hand(measured: dict[str, Stopped]) -> None:
    for title, item in POPULATION.items():
        counts = item.counts.counts.astype(float)
        truth = counts[:, 0].sum() / counts[:, 1].sum()
        seen = {"sequence": 0, "interval": 0, "alone": 0, "there": 0}
        ends = []
        for number in range(DRAWS):
            places = np.random.default_rng([5, 400, number]).integers(0, SIZE, 400)
            drawn = [(count, *accuracy(counts[places[:count]])) for count in LOOKS]
            off = [abs(value - truth) / error for _, value, error in drawn]
            seen["sequence"] += any(o > width(n) for o, (n, _, _) in zip(off, drawn, strict=True))
            seen["interval"] += any(o > 1.959964 for o in off)
            seen["alone"] += off[-1] > 1.959964
            end = [k for k, (n, _, error) in enumerate(drawn) if width(n) * error <= 0.04]
            ends += end[:1]
            seen["there"] += bool(end) and off[end[0]] > 1.959964
        got = measured[title]
        assert got.truth == pytest.approx(truth)
        assert got.sequence == seen["sequence"] / DRAWS
        assert got.interval == seen["interval"] / DRAWS > 0
        assert got.interval_alone == seen["alone"] / DRAWS
        assert got.ended == len(ends) / DRAWS > 0.5
        assert (got.least, got.most) == (LOOKS[min(ends)], LOOKS[max(ends)])
        assert got.median == np.median([LOOKS[end] for end in ends])
        assert got.interval_there == seen["there"] / len(ends)
        assert math.isnan(got.false_verdicts)


def test_a_difference_is_paired_and_a_coin_makes_none(measured: dict[str, Stopped]) -> None:
    pair = measured["one - other"]
    assert pair.truth == pytest.approx(measured["one"].truth - measured["other"].truth)
    # 5% is known to 2.8 points by 60 draws, and three of those are 8.
    assert pair.sequence <= 0.05 + 0.08
    assert pair.false_verdicts <= 0.05 + 0.08
    assert pair.interval > pair.sequence
    assert pair.false_by_interval > pair.false_verdicts
    assert math.isnan(pair.ended)


def test_a_sequence_that_is_too_narrow_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_narrow(influence: Floats) -> float:
        return float(influence.std()) / math.sqrt(len(influence))

    monkeypatch.setattr(stopping_validation, "half_width", too_narrow)
    monkeypatch.setattr(stopping_validation, "anytime_p_value", lambda *_: 0.0)
    by_subject = {item.subject: item for item in found(20)}
    assert by_subject["one"].sequence > 0.4
    assert by_subject["one - other"].false_verdicts == 1


def test_a_rule_that_no_draw_meets_has_no_end() -> None:
    rule = StoppingRule.parse("acc_valid+-0.01")
    one, *_ = validate_stopping(POPULATION, rule, [100, 150], 3)
    assert one.ended == 0
    assert math.isnan(one.median)
    assert math.isnan(one.interval_there)


def test_processes_change_no_number() -> None:
    assert repr(found(4, workers=2, looks=[100, 120])) == repr(found(4, looks=[100, 120]))
