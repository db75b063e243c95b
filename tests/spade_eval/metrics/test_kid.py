# SPDX-License-Identifier: Apache-2.0
import itertools
import statistics

import pytest
import torch
from torch import Tensor

from spade_eval.errors import UserError
from spade_eval.metrics.kid import kernel_distance, squared_discrepancy


def draw_features(count: int, seed: int, shift: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 4, generator=generator, dtype=torch.float64) + shift


def brute_force(x: list[list[float]], y: list[list[float]]) -> float:
    """Gretton et al., eq. 3, pair by pair in plain Python."""

    def kernel(a: list[float], b: list[float]) -> float:
        return (sum(i * j for i, j in zip(a, b, strict=True)) / len(a) + 1) ** 3

    within = [
        statistics.fmean(kernel(a, b) for a, b in itertools.permutations(points, 2))
        for points in (x, y)
    ]
    return sum(within) - 2 * statistics.fmean(kernel(a, b) for a in x for b in y)


@pytest.mark.parametrize(("count", "other_count"), [(2, 2), (5, 9), (12, 3)])
def test_discrepancy_equals_brute_force(count: int, other_count: int) -> None:
    x, y = draw_features(count, 0), draw_features(other_count, 1, shift=0.5)
    # A few hundred float64 additions in another order.
    assert squared_discrepancy(x, y).item() == pytest.approx(
        brute_force(x.tolist(), y.tolist()), rel=1e-12, abs=1e-12
    )


def test_subsets_of_everything_are_the_whole() -> None:
    x, y = draw_features(10, 0), draw_features(10, 1, shift=0.5)
    result = kernel_distance(x, y, num_subsets=3)
    assert result.subset_size == 10
    assert result.mean == pytest.approx(brute_force(x.tolist(), y.tolist()), rel=1e-12)
    assert (result.num_subsets, result.standard_deviation) == (1, 0)
    # Rows of the larger side can still be drawn in several ways.
    assert kernel_distance(x, draw_features(11, 2), num_subsets=3).num_subsets == 3


def test_mean_over_subsets_approaches_the_whole() -> None:
    x, y = draw_features(40, 0), draw_features(30, 1, shift=0.5)
    result = kernel_distance(x, y, num_subsets=2000, subset_size=8)
    standard_error = result.standard_deviation / 2000**0.5
    assert abs(result.mean - squared_discrepancy(x, y).item()) < 5 * standard_error


def test_unbiased_for_equal_distributions() -> None:
    """The mean of independent estimates is 0 within its standard error, also for few images."""
    estimates = [
        squared_discrepancy(draw_features(6, 2 * seed), draw_features(6, 2 * seed + 1)).item()
        for seed in range(1000)
    ]
    standard_error = statistics.stdev(estimates) / len(estimates) ** 0.5
    assert min(estimates) < 0
    assert abs(statistics.fmean(estimates)) < 5 * standard_error


def test_seed_alone_decides_the_subsets() -> None:
    x, y = draw_features(40, 0), draw_features(40, 1)
    first = kernel_distance(x, y, num_subsets=5, subset_size=10, seed=1)
    torch.rand(3)  # moves the global generator, which must not matter
    state = torch.get_rng_state()
    assert kernel_distance(x, y, num_subsets=5, subset_size=10, seed=1) == first
    assert torch.equal(torch.get_rng_state(), state)
    assert kernel_distance(x, y, num_subsets=5, subset_size=10, seed=2).mean != first.mean


def test_too_few_images() -> None:
    with pytest.raises(UserError, match="subsets of 1 images, expected at least 2"):
        kernel_distance(draw_features(1, 0), draw_features(5, 1))
