# SPDX-License-Identifier: Apache-2.0
"""Stopping at any look: the confidence sequence holds, an interval looked at often does not."""

import math

import numpy as np
import pytest

from spade_eval.errors import UserError
from spade_eval.metrics.count_influence import count_influence
from spade_eval.metrics.counts import StoredCounts
from spade_eval.metrics.counts import miou_of as miou_of_counts
from spade_eval.metrics.stopping import (
    FIRST_LOOK,
    StoppingRule,
    anytime_p_value,
    half_width,
    joined_counts,
    random_order,
    sequence_margin,
)
from spade_eval.reports.statistics.population import Images

REPLICATIONS = 300
LOOKS = range(FIRST_LOOK, 801, 20)


def images_of(counts: StoredCounts) -> Images:
    """The population as `validate intervals` draws from it; features are not looked at."""
    nothing = np.zeros((len(counts), 1))
    return Images(counts, "target", nothing, nothing)


def population(size: int, seed: int = 0) -> StoredCounts:
    """Images whose difficulty differs, so that what an image does to all classes is one thing."""
    numbers = np.random.default_rng(seed)
    target = numbers.gamma(0.4, 200, (size, 6)).astype(np.int64)  # many classes nearly absent
    skill = numbers.beta(2, 2, (size, 1))
    hits = numbers.binomial(target, skill * numbers.uniform(0.3, 1, 6))
    false = numbers.poisson((target - hits).sum(axis=1, keepdims=True) / 6, (size, 6))
    counts = np.stack([hits, target, hits + false], axis=1).astype(np.uint32)
    return StoredCounts(tuple(map(str, range(size))), counts, np.zeros(size, np.uint32))


def drawn(whole: StoredCounts, places: np.ndarray) -> StoredCounts:
    names = tuple(whole.names[place] for place in places)
    return StoredCounts(names, whole.counts[places], whole.num_ignored[places])


def miou_of(counts: StoredCounts) -> float:
    return float(miou_of_counts(counts.counts.sum(axis=0, dtype=np.float64), "target"))


def test_the_sequence_holds_at_every_look_and_an_interval_does_not() -> None:
    """Both looked at after each 20 images; counted is who ever left out the truth."""
    whole = images_of(population(4000))
    truth, numbers = float(whole.scores().miou[0]), np.random.default_rng(1)
    wrong = {"sequence": 0, "interval": 0, "first of each": 0}
    for _ in range(REPLICATIONS):
        sample = whole.drawn(numbers.integers(0, 4000, LOOKS[-1])).counts
        outside = {"sequence": False, "interval": False}
        for count in LOOKS:
            counts = drawn(sample, np.arange(count))
            influence = count_influence(counts, "miou", "target")
            assert influence is not None
            error, off = influence.std(ddof=1) / math.sqrt(count), abs(miou_of(counts) - truth)
            outside["sequence"] |= off > half_width(influence)
            outside["interval"] |= off > 1.96 * error
            wrong["first of each"] += count == LOOKS[0] and off > 1.96 * error
        for name, is_outside in outside.items():
            wrong[name] += is_outside
    shares = {name: count / REPLICATIONS for name, count in wrong.items()}
    # 5% is known to 1.3 points by 300 replications.
    assert shares["sequence"] <= 0.05
    assert shares["first of each"] <= 0.05 + 3 * 0.013, "at one N the interval is a good one"
    assert shares["interval"] >= 0.15, "peeking must fail, or this test could not"


def test_verdicts_of_two_equal_rows_are_rare_at_every_look() -> None:
    """A coin decides for each image which row is which; 0 may be left out in 5% of the runs."""
    numbers, named = np.random.default_rng(2), {"anytime": 0, "peeking": 0}
    for _ in range(1000):
        differences = numbers.choice([-1.0, 1.0], 800) * numbers.gamma(1, 1, 800)
        values = [
            (differences[:n].mean(), differences[:n].std(ddof=1) / math.sqrt(n), n) for n in LOOKS
        ]
        named["anytime"] += any(anytime_p_value(*value) <= 0.05 for value in values)
        named["peeking"] += any(abs(mean) > 1.96 * error for mean, error, _ in values)
    # 5% is known to 0.7 points by 1,000.
    assert named["anytime"] <= 50
    assert named["peeking"] >= 150


def test_the_sequence_is_where_its_p_value_is_5_percent() -> None:
    for count in (100, 500, 10_000):
        edge = sequence_margin(count) * math.sqrt(count)
        assert anytime_p_value(edge, 1.0, count) == pytest.approx(0.05)
        assert 3 < edge < 3.5, "the price of looking at any time, for 1.96"
    assert anytime_p_value(0.0, 0.0, 100) == 1
    assert anytime_p_value(0.1, 0.0, 100) == 0
    assert anytime_p_value(1e9, 1.0, 100) < 1e-100


def test_a_rule_stops_where_the_sequence_is_narrow_and_never_before_the_first_look() -> None:
    counts = population(2000, seed=3)
    rule = StoppingRule.parse("miou+-4")
    stopped = next(
        n for n in range(20, 2001, 20) if rule.is_met(drawn(counts, np.arange(n)), "target")
    )
    assert stopped >= FIRST_LOOK
    influence = count_influence(drawn(counts, np.arange(stopped)), "miou", "target")
    assert influence is not None
    assert half_width(influence) <= 0.04
    before = count_influence(drawn(counts, np.arange(stopped - 20)), "miou", "target")
    assert before is not None
    assert half_width(before) > 0.04
    assert not StoppingRule.parse("miou+-49").is_met(drawn(counts, np.arange(99)), "target")


def test_rare_classes_keep_a_rule_from_stopping() -> None:
    counts = population(400)
    assert StoppingRule.parse("miou+-20").is_met(counts, "target")
    rare = counts.counts.copy()
    rare[9:, :, 5] = 0  # in nine images
    few = StoredCounts(counts.names, rare, counts.num_ignored)
    assert not StoppingRule.parse("miou+-20").is_met(few, "target")


def test_the_order_knows_count_and_seed_alone() -> None:
    order = random_order(500, 0)
    assert sorted(order) == list(range(500))
    assert (order == random_order(500, 0)).all()
    assert (order != random_order(500, 1)).any()
    assert abs(np.corrcoef(order, np.arange(500))[0, 1]) < 0.15  # 3.3 / sqrt(500)


def test_batches_are_joined_in_order() -> None:
    counts = population(30)
    parts = [drawn(counts, np.arange(0, 20)), drawn(counts, np.arange(20, 30))]
    joined = joined_counts(parts)
    assert joined.names == counts.names
    assert (joined.counts == counts.counts).all()


@pytest.mark.parametrize(
    "text", ["", "miou", "miou+-", "miou+-0", "miou+-50", "fid+-1", "miou+-x", "miou±1", "miou+--1"]
)
def test_other_rules_are_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"expected METRIC\+-POINTS .* miou\+-0\.5"):
        StoppingRule.parse(text)


def test_a_rule_is_written_as_it_is_read() -> None:
    assert str(StoppingRule.parse(" fwiou+-0.50 ")) == "fwiou+-0.5"
