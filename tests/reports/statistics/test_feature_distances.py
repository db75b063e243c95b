# SPDX-License-Identifier: Apache-2.0
"""Distances of reports are those of the metrics, and their standard errors are honest."""

import numpy as np
import pytest
import torch

from spade_eval.metrics.frechet import frechet_distance
from spade_eval.metrics.kid import squared_discrepancy
from spade_eval.metrics.moments import FeatureMoments
from spade_eval.reports.statistics.feature_distances import (
    NUM_GROUPS,
    frechet,
    groups_of,
    jackknife_interval,
    left_out_frechet,
    left_out_kernel,
    left_out_plainly,
    standard_error,
)


def sets(num_real: int, num_made: int, dim: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    numbers = np.random.default_rng(seed)
    mixing = np.eye(dim) + numbers.normal(size=(dim, dim)) / 8
    return numbers.normal(size=(num_real, dim)), numbers.normal(size=(num_made, dim)) @ mixing + 0.2


def moments(features: np.ndarray) -> FeatureMoments:
    found = FeatureMoments(features.shape[1])
    found.update(torch.from_numpy(features))
    return found


def kernel(real: np.ndarray, made: np.ndarray) -> float:
    return squared_discrepancy(torch.from_numpy(real), torch.from_numpy(made)).item()


@pytest.mark.parametrize(
    ("num_real", "num_made"), [(200, 150), (200, 20), (20, 200), (25, 20)], ids=str
)
def test_the_frechet_distance_is_that_of_the_metric(num_real: int, num_made: int) -> None:
    real, made = sets(num_real, num_made, 32)
    # Two decompositions in float64: equal to rounding.
    assert frechet(real, made) == pytest.approx(
        frechet_distance(moments(real), moments(made)), rel=1e-9
    )


def test_every_image_is_in_one_group() -> None:
    groups = groups_of(107)
    assert len(groups) == NUM_GROUPS
    assert sorted(np.concatenate(groups)) == list(range(107))
    assert {len(group) for group in groups} == {5, 6}


@pytest.mark.parametrize(("num_real", "num_made"), [(150, 140), (20, 140), (150, 30)], ids=str)
def test_leaving_groups_out_by_subtraction_is_leaving_them_out(
    num_real: int, num_made: int
) -> None:
    real, made = sets(num_real, num_made, 32)
    found, plain = left_out_frechet(real, made), left_out_plainly(real, made)
    np.testing.assert_allclose(found, plain, rtol=1e-8)
    by_hand = [frechet(real, np.delete(made, group, axis=0)) for group in groups_of(num_made)]
    np.testing.assert_allclose(plain, by_hand, rtol=1e-9)


def test_kernel_distances_with_groups_left_out() -> None:
    real, made = sets(50, 45, 8)
    by_hand = [kernel(real, np.delete(made, group, axis=0)) for group in groups_of(45)]
    np.testing.assert_allclose(left_out_kernel(real, made), by_hand, rtol=1e-9)


@pytest.mark.parametrize("name", ["frechet", "kernel"])
def test_the_standard_error_is_the_spread_over_new_images(name: str) -> None:
    distance = {"frechet": frechet, "kernel": kernel}[name]
    left_out = {"frechet": left_out_frechet, "kernel": left_out_kernel}[name]
    real = sets(400, 2, 8)[0]
    spread = np.std([distance(real, made) for made in _same_source(60)], ddof=1)
    errors = [standard_error(left_out(real, made)) for made in _same_source(12)]
    # 60 draws know a spread to 9%, 12 errors of 19 degrees of freedom their mean to 5%; jackknives
    # of a curved statistic are off by some tenths.
    assert np.mean(errors) == pytest.approx(spread, rel=0.4)


def _same_source(count: int) -> list[np.ndarray]:
    numbers = np.random.default_rng(5)
    mixing = np.eye(8) + np.random.default_rng(6).normal(size=(8, 8)) / 8
    return [numbers.normal(size=(120, 8)) @ mixing + 0.2 for _ in range(count)]


def test_the_interval_is_about_the_estimate_and_equal_rows_have_none() -> None:
    low, high = jackknife_interval(3.0, np.linspace(2.9, 3.1, NUM_GROUPS))
    assert low < 3.0 < high
    assert (low + high) / 2 == pytest.approx(3.0)
    assert jackknife_interval(0.0, np.zeros(NUM_GROUPS)) == (0.0, 0.0)
