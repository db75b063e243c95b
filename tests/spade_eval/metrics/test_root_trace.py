# SPDX-License-Identifier: Apache-2.0
"""The fast form of the trace against the written one, and where a covariance is singular."""

import numpy as np
import pytest

from spade_eval.metrics.root_trace import (
    factor_of,
    root_trace,
    root_trace_by_factor,
    scaled_eigenvectors,
)


def covariances(dim: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rows = np.random.default_rng(0).normal(size=(2, 3 * dim, dim)) * np.linspace(0.01, 3, dim)
    return np.cov(rows[0], rowvar=False), np.cov(rows[1] @ np.tri(dim), rowvar=False)


def test_it_is_the_written_form() -> None:
    one, other = covariances()
    before = one.copy(), other.copy()
    # Eigenvalues are known to 1e-16 of the largest of the product, which is 1e13 times the least;
    # of the sum of roots that leaves 11 digits.
    expected = root_trace_by_factor(scaled_eigenvectors(one), other)
    assert root_trace(one, other) == pytest.approx(expected, rel=1e-11)
    assert root_trace(other, one) == pytest.approx(expected, rel=1e-11)
    assert root_trace_by_factor(factor_of(one), other) == pytest.approx(expected, rel=1e-11)
    np.testing.assert_array_equal((one, other), before)


def test_a_feature_that_never_varies_is_left_out() -> None:
    one, other = covariances()
    one[3], one[:, 3] = 0, 0
    kept = np.delete(np.arange(40), 3)
    expected = root_trace(one[np.ix_(kept, kept)], other[np.ix_(kept, kept)])
    # A root of an eigenvalue that is 0 but for rounding, 1e-16 of the largest.
    assert root_trace(one, other) == pytest.approx(expected, abs=1e-6)
    assert np.isfinite(factor_of(one)).all()
