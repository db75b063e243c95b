# SPDX-License-Identifier: Apache-2.0
"""Seeds: Student's interval, and verdicts that may be read after every further seed."""

import math

import numpy as np
import pytest
from scipy import stats

from spade_eval.reports.statistics.power import smallest_between_seeds
from spade_eval.reports.statistics.seed_tests import (
    level_at,
    paired_deviation,
    seed_interval,
    seed_p_value,
    t_quantile,
)


def test_parts_of_the_level_sum_to_5_percent() -> None:
    assert level_at(1) == level_at(2) == 0
    assert level_at(3) == 0.025
    # The sum to S is 0.05 (1 - 1 / (S - 1)).
    assert sum(map(level_at, range(1001))) == pytest.approx(0.05 * (1 - 1 / 999))


def test_the_p_value_is_the_paired_one_of_scipy_over_its_part() -> None:
    numbers = np.random.default_rng(0)
    mine, other = numbers.normal(size=(2, 5)) + np.array([[1.0], [0.0]])
    plain = stats.ttest_rel(mine, other).pvalue
    assert seed_p_value(mine, other) == pytest.approx(min(1, plain * 4 * 3))
    assert math.isnan(seed_p_value(mine[:2], other[:2]))
    # A seed that one of them lacks is no pair.
    lacking = [*other[:4], math.nan]
    assert seed_p_value(mine, lacking) == pytest.approx(seed_p_value(mine[:4], other[:4]))
    assert paired_deviation(mine, lacking) == pytest.approx((mine - other)[:4].std(ddof=1))
    assert seed_p_value([1, 1, 1], [0, 0, 0]) == 0
    assert seed_p_value([1, 1, 1], [1, 1, 1]) == 1


def test_looking_after_every_seed_is_allowed() -> None:
    """Two methods that do not differ, with up to ten seeds, looked at from the third on."""
    differences = np.random.default_rng(1).normal(size=(4000, 10))
    named = {"these": np.zeros(4000, bool), "plain": np.zeros(4000, bool)}
    for count in range(3, 11):
        seen = differences[:, :count]
        p_values = stats.ttest_1samp(seen, 0, axis=1).pvalue
        named["these"] |= p_values <= level_at(count)
        named["plain"] |= p_values <= 0.05
        ours = seed_p_value(seen[0], np.zeros(count))
        assert (ours <= 0.05) == (p_values[0] <= level_at(count))
    # 5% is known to 0.3 points by 4,000.
    assert named["these"].mean() <= 0.05
    assert named["plain"].mean() > 0.1


def test_the_interval_of_a_mean_is_students() -> None:
    values = [0.4, 0.5, 0.45, math.nan]
    low, high = seed_interval(values)
    expected = stats.t.interval(0.95, 2, loc=0.45, scale=stats.sem(values[:3]))
    assert (low, high) == pytest.approx(expected)
    assert all(map(math.isnan, seed_interval([0.4])))


def test_the_smallest_difference_is_found_in_8_of_10() -> None:
    """By the test itself, at five seeds and three pairs."""
    numbers = np.random.default_rng(2)
    smallest = smallest_between_seeds(1.0, 5, num_tests=3)
    drawn = numbers.normal(size=(4000, 5)) + smallest
    p_values = stats.ttest_1samp(drawn, 0, axis=1).pvalue * 3
    share = (p_values <= level_at(5)).mean()
    assert share == pytest.approx(0.8, abs=0.02)  # known to 0.6 points
    assert smallest_between_seeds(1.0, 2) == math.inf
    assert t_quantile(0.975, 19) == pytest.approx(2.093024, abs=1e-6)
