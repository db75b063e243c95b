# SPDX-License-Identifier: Apache-2.0
"""Distances of reports are those of the metrics, and groups leave them as if they were deleted."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from spade_eval.metrics.frechet import frechet_distance
from spade_eval.metrics.moments import FeatureMoments
from spade_eval.reports.statistics.feature_distances import (
    frechet,
    has_full_rank,
    left_out_frechet,
    left_out_plainly,
)
from spade_eval.reports.statistics.jackknife import NUM_GROUPS, groups_of

Floats = NDArray[np.float64]


def sets(num_real: int, num_made: int, dim: int, seed: int = 0) -> tuple[Floats, Floats]:
    numbers = np.random.default_rng(seed)
    mixing = np.eye(dim) + numbers.normal(size=(dim, dim)) / 8
    return numbers.normal(size=(num_real, dim)), numbers.normal(size=(num_made, dim)) @ mixing + 0.2


def moments(features: Floats) -> FeatureMoments:
    found = FeatureMoments(features.shape[1])
    found.update(torch.from_numpy(features))
    return found


@pytest.mark.parametrize(
    ("num_real", "num_made"), [(200, 150), (200, 20), (20, 200), (25, 20)], ids=str
)
def test_the_frechet_distance_is_that_of_the_metric(num_real: int, num_made: int) -> None:
    real, made = sets(num_real, num_made, 32)
    # Two decompositions in float64: equal to rounding.
    assert frechet(real, made) == pytest.approx(
        frechet_distance(moments(real), moments(made)), rel=1e-9
    )


@pytest.mark.parametrize("change", ["none", "constant feature", "equal features", "grey", "far"])
@pytest.mark.parametrize("paired", [True, False])
def test_leaving_groups_out_of_sums_is_leaving_them_out(paired: bool, change: str) -> None:
    real, made = sets(147, 147 if paired else 130, 12)
    if change == "constant feature":
        real[:, 3], made[:, 3] = 2.0, 3.0
    elif change == "equal features":
        real[:, 3], made[:, 3] = real[:, 4], made[:, 4]
    elif change == "grey":
        made[:] = made[0]
    elif change == "far":
        real, made = real + 1e6, made + 1e6
    found = left_out_frechet(real, made, paired=paired)
    plain = left_out_plainly(real, made, paired=paired)
    assert found.value == plain.value == frechet(real, made)
    # Roots of eigenvalues that are 0 but for rounding: 1e-16 becomes 1e-8.
    np.testing.assert_allclose(found.without, plain.without, rtol=1e-7, atol=1e-7)


def test_leaving_out_plainly_is_by_hand() -> None:
    real, made = sets(45, 45, 60)
    groups = groups_of(45)
    pairs = [
        frechet(np.delete(real, group, axis=0), np.delete(made, group, axis=0)) for group in groups
    ]
    np.testing.assert_array_equal(left_out_plainly(real, made, paired=True).without, [pairs])
    alone = left_out_plainly(real, made, paired=False).without
    assert alone.shape == (2, NUM_GROUPS)
    assert alone[0, 3] == frechet(real, np.delete(made, groups[3], axis=0))
    assert alone[1, 3] == frechet(np.delete(real, groups[3], axis=0), made)


def test_full_rank_is_that_of_what_is_left() -> None:
    # The largest of 20 groups of 105 images has 6: 99 are left.
    assert has_full_rank(105, 98)
    assert not has_full_rank(105, 99)


@pytest.mark.parametrize(("paired", "num_made"), [(True, 60), (False, 60), (False, 90)])
def test_the_bias_is_removed(paired: bool, num_made: int) -> None:
    """Sets of one source: the distance of populations is 0, that of samples is not."""
    numbers = np.random.default_rng(2)
    values, corrected = [], []
    for _ in range(60):
        real = numbers.normal(size=(60, 6))
        made = numbers.normal(size=(num_made, 6))
        if paired:
            made = 0.8 * real + 0.6 * made
        left_out = left_out_frechet(real, made, paired=paired)
        values.append(left_out.value)
        corrected.append(left_out.value - left_out.bias)
    error = np.std(corrected, ddof=1) / np.sqrt(60)
    assert np.mean(values) > 20 * error
    assert abs(np.mean(corrected)) < 4 * error + 0.03 * np.mean(values)  # the rest is of 1 / N²


@pytest.mark.parametrize("paired", [True, False])
def test_the_standard_error_is_the_spread_over_new_label_maps(paired: bool) -> None:
    numbers = np.random.default_rng(3)
    values, errors = [], []
    for _ in range(80):
        real = numbers.normal(size=(100, 4))
        noise = numbers.normal(size=(100, 4))
        made = (0.8 * real if paired else 0) + noise * [2, 1, 1, 1] + 0.5
        left_out = left_out_frechet(real, made, paired=paired)
        values.append(left_out.value)
        errors.append(left_out.standard_error)
    # 80 draws know a spread to 8%, their errors of 19 degrees of freedom the mean of it to 2%.
    assert np.mean(errors) == pytest.approx(np.std(values, ddof=1), rel=0.3)
