# SPDX-License-Identifier: Apache-2.0
"""The jackknife's bias, standard error and interval on estimates that are known exactly."""

import numpy as np
import pytest
from scipy import stats

from spade_eval.reports.statistics.jackknife import (
    NUM_GROUPS,
    T_QUANTILE,
    LeftOut,
    distance_interval,
    groups_of,
)


def test_every_image_is_in_one_group() -> None:
    groups = groups_of(107)
    assert len(groups) == NUM_GROUPS
    assert sorted(np.concatenate(groups)) == list(range(107))
    assert {len(group) for group in groups} == {5, 6}


def test_the_bias_of_a_variance_divided_by_n_is_known() -> None:
    """Its expectation is (1 - 1/N) of the variance, and the jackknife finds exactly the rest."""
    values = np.random.default_rng(0).normal(size=NUM_GROUPS)
    without = [np.delete(values, group).var() for group in groups_of(len(values))]
    left_out = LeftOut(values.var(), np.array([without]))
    assert left_out.value - left_out.bias == pytest.approx(values.var(ddof=1))


def test_the_error_of_a_mean_is_the_usual_one_and_sides_add_up() -> None:
    numbers = np.random.default_rng(1)
    sides = numbers.normal(size=(2, NUM_GROUPS))
    without = [[np.delete(side, group).mean() for group in groups_of(NUM_GROUPS)] for side in sides]
    usual = sides.std(axis=1, ddof=1) / np.sqrt(NUM_GROUPS)
    first = LeftOut(sides[0].mean(), np.array(without[:1]))
    assert first.standard_error == pytest.approx(usual[0])
    assert first.bias == pytest.approx(0, abs=1e-12)
    both = LeftOut(0.0, np.array(without) - sides.mean(axis=1, keepdims=True))
    assert both.standard_error == pytest.approx(np.hypot(*usual))


def test_the_quantile_is_students() -> None:
    assert pytest.approx(stats.t.ppf(0.975, NUM_GROUPS - 1), abs=1e-6) == T_QUANTILE


@pytest.mark.parametrize(
    ("distance", "half", "ends"),
    [(3.0, 1.0, (2.0, 4.0)), (0.1, 0.3, (0.0, 0.4)), (-0.5, 0.3, (0.0, 0.0))],
)
def test_no_end_is_below_zero(distance: float, half: float, ends: tuple[float, float]) -> None:
    assert distance_interval(distance, half) == pytest.approx(ends)
