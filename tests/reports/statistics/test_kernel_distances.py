# SPDX-License-Identifier: Apache-2.0
"""The kernel distance of pairs: by hand, without bias, 0 for a set against itself."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from spade_eval.metrics import mmd
from spade_eval.metrics.kid import squared_discrepancy
from spade_eval.reports.statistics import kernel_distances
from spade_eval.reports.statistics.jackknife import groups_of
from spade_eval.reports.statistics.kernel_distances import (
    GAUSSIAN,
    kernel_influence,
    left_out_pairs,
    left_out_sides,
    over_all_pairs,
    paired_sums,
)

Floats = NDArray[np.float64]


def sets(num_real: int, num_made: int, seed: int = 0) -> tuple[Floats, Floats]:
    numbers = np.random.default_rng(seed)
    return numbers.normal(size=(num_real, 6)), 1.3 * numbers.normal(size=(num_made, 6)) + 0.2


def cubic(a: Floats, b: Floats) -> float:
    return float((a @ b / len(a) + 1) ** 3)


def gaussian(a: Floats, b: Floats) -> float:
    """CMMD's, as its paper prints it: sigma 10, features of length 1, times 1000."""
    apart = a / math.sqrt(a @ a) - b / math.sqrt(b @ b)
    return 1000 * math.exp(-(apart @ apart) / (2 * 10**2))


def without_pairs(x: Floats, y: Floats, kernel: Callable[[Floats, Floats], float] = cubic) -> float:
    """Mean of h_ij over i != j, one by one."""
    count = len(x)
    total = sum(
        kernel(x[i], x[j]) + kernel(y[i], y[j]) - kernel(x[i], y[j]) - kernel(x[j], y[i])
        for i in range(count)
        for j in range(count)
        if i != j
    )
    return total / (count * (count - 1))


def independent(x: Floats, y: Floats) -> float:
    return squared_discrepancy(torch.from_numpy(x), torch.from_numpy(y)).item()


def test_pairs_are_left_out_of_the_cross_term(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_distances, "_CHUNK_ROWS", 7)
    real, made = sets(45, 45)
    found = left_out_pairs(paired_sums(real, made))
    assert found.value == pytest.approx(without_pairs(real, made), rel=1e-9)
    for place in (0, 19):  # of three images, of two
        rest = [np.delete(side, groups_of(45)[place], axis=0) for side in (real, made)]
        assert found.without[0, place] == pytest.approx(without_pairs(*rest), rel=1e-9)


def test_independent_sides_are_left_out_in_turn() -> None:
    real, made = sets(45, 52)
    found = left_out_sides(real, made)
    assert found.value == pytest.approx(independent(real, made), rel=1e-9)
    by_hand = [
        [independent(np.delete(real, group, axis=0), made) for group in groups_of(45)],
        [independent(real, np.delete(made, group, axis=0)) for group in groups_of(52)],
    ]
    np.testing.assert_allclose(found.without, by_hand, rtol=1e-9)


def test_a_set_against_itself_is_at_distance_zero() -> None:
    """The estimate of independent sets is below 0 there, by twice the pairs' excess over N."""
    real, _ = sets(60, 2)
    found = left_out_pairs(paired_sums(real, real))
    # Sums of some thousand numbers near 1 whose terms cancel.
    assert abs(found.value) < 1e-13
    np.testing.assert_allclose(found.without, 0, atol=1e-13)
    np.testing.assert_allclose(kernel_influence(paired_sums(real, real)), 0, atol=1e-11)
    assert independent(real, real) < -0.01


def test_pairs_cost_the_independent_estimate_its_lack_of_bias() -> None:
    """Both sides are of one distribution: 0 is the distance of the populations."""
    numbers = np.random.default_rng(2)
    with_pairs, without = [], []
    for _ in range(300):
        shared, first, second = numbers.normal(size=(3, 40, 4))
        real, made = shared + first / 2, shared + second / 2
        with_pairs.append(independent(real, made))
        without.append(left_out_pairs(paired_sums(real, made)).value)
    error = np.std(without, ddof=1) / np.sqrt(300)
    assert abs(np.mean(without)) < 3.5 * error
    assert np.mean(with_pairs) < -10 * error


def test_influence_is_that_of_leaving_one_out() -> None:
    real, made = sets(120, 120)
    value = left_out_pairs(paired_sums(real, made)).value
    left_out = [
        left_out_pairs(
            paired_sums(*(np.delete(side, place, axis=0) for side in (real, made)))
        ).value
        for place in range(120)
    ]
    plain = 119 * (value - np.array(left_out))
    found = kernel_influence(paired_sums(real, made))
    assert np.abs(found - plain).max() < 0.03 * plain.std()
    assert found.mean() == pytest.approx(0, abs=1e-12)


def test_the_gaussian_kernel_without_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_distances, "_CHUNK_ROWS", 7)
    real, made = sets(45, 45)
    found = left_out_pairs(paired_sums(real, made, GAUSSIAN))
    # Means of numbers near 1000 whose difference is near 1: 1e-16 * 1000 * some.
    assert found.value == pytest.approx(without_pairs(real, made, gaussian), rel=1e-9)
    rest = [np.delete(side, groups_of(45)[19], axis=0) for side in (real, made)]
    assert found.without[0, 19] == pytest.approx(without_pairs(*rest, gaussian), rel=1e-9)


def test_the_gaussian_kernel_of_independent_sides() -> None:
    real, made = sets(45, 52)
    found = left_out_sides(real, made, GAUSSIAN)
    own = [
        sum(gaussian(a, b) for i, a in enumerate(side) for j, b in enumerate(side) if i != j)
        / (len(side) * (len(side) - 1))
        for side in (real, made)
    ]
    across = sum(gaussian(a, b) for a in real for b in made) / (len(real) * len(made))
    assert found.value == pytest.approx(sum(own) - 2 * across, rel=1e-9)


def test_over_all_pairs_is_what_a_run_records() -> None:
    real, made = sets(45, 52)
    recorded = mmd.SCALE * mmd.squared_discrepancy(torch.from_numpy(real), torch.from_numpy(made))
    assert over_all_pairs(real, made, GAUSSIAN) == pytest.approx(recorded, rel=1e-9)


def test_the_bias_that_is_recorded_is_gone_without_pairs() -> None:
    """Of one distribution, all pairs come to about (2 / N)(1000 - E k); half of it at twice N."""
    numbers = np.random.default_rng(3)
    biased, without = [], []
    for _ in range(200):
        real, made = numbers.normal(size=(2, 40, 4))
        biased.append(over_all_pairs(real, made, GAUSSIAN))
        without.append(left_out_pairs(paired_sums(real, made, GAUSSIAN)).value)
    error = np.std(without, ddof=1) / np.sqrt(200)
    assert abs(np.mean(without)) < 3.5 * error
    # E |x - y|² of unit vectors without a direction is 2, so 1000 (1 - exp(-2 / 200)), nearly.
    assert np.mean(biased) == pytest.approx(2 / 40 * 1000 * (1 - math.exp(-0.01)), rel=0.05)
