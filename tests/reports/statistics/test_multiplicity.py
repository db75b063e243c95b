# SPDX-License-Identifier: Apache-2.0
"""Adjusted p-values: worked examples, and how often many true nulls are rejected."""

import math

import numpy as np
import pytest

from spade_eval.reports.statistics.multiplicity import benjamini_hochberg, holm

P_VALUES = [0.01, 0.04, 0.03, 0.005]


def test_holm_multiplies_by_those_that_are_left() -> None:
    assert holm(P_VALUES) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_benjamini_and_hochberg_divide_by_the_rank() -> None:
    assert benjamini_hochberg(P_VALUES) == pytest.approx([0.02, 0.04, 0.04, 0.02])


def test_what_is_unknown_counts_for_nothing() -> None:
    for adjust in (holm, benjamini_hochberg):
        found = adjust([math.nan, 0.02, math.nan])
        assert found[1] == 0.02
        assert np.isnan(found[[0, 2]]).all()
        assert len(adjust([])) == 0
        assert (adjust([0.9, 0.8]) <= 1).all()


def test_holm_is_rarely_wrong_anywhere_and_the_other_rarely_in_share() -> None:
    numbers = np.random.default_rng(0)
    any_false, plain, shares = 0, 0, []
    for _ in range(1000):
        # Ten true nulls and ten effects.
        p_values = np.concatenate([numbers.random(10), numbers.random(10) * 1e-3])
        any_false += (holm(p_values)[:10] <= 0.05).any()
        plain += (p_values[:10] <= 0.05).any()
        rejected = benjamini_hochberg(p_values) <= 0.05
        shares.append(rejected[:10].sum() / max(rejected.sum(), 1))
    # 5% of 1,000, and three standard errors (0.7 points).
    assert any_false / 1000 <= 0.071
    assert plain / 1000 > 0.3
    assert np.mean(shares) <= 0.055
