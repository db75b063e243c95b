# SPDX-License-Identifier: Apache-2.0
"""Closed forms of influence and bias against images that are left out one by one."""

import numpy as np
import pytest
from numpy.typing import NDArray

from spade_eval.reports.statistics import frechet_influence
from spade_eval.reports.statistics.feature_distances import frechet, left_out_frechet
from spade_eval.reports.statistics.frechet_influence import expand_frechet, standard_error_of

Floats = NDArray[np.float64]
DIM, NUM_IMAGES = 5, 1500


def sets(num_images: int = NUM_IMAGES, num_made: int | None = None) -> tuple[Floats, Floats]:
    """Features with a skew, of a third of the variance in common where they are pairs."""
    numbers = np.random.default_rng(0)
    real = np.maximum(numbers.normal(size=(num_images, DIM)) + 0.5, 0)
    mixing = np.eye(DIM) + numbers.normal(size=(DIM, DIM)) / 5
    made = np.abs(numbers.normal(size=(num_made or num_images, DIM))) @ mixing
    return real, made if num_made else made + 0.7 * real


def influence_by_leaving_out(real: Floats, made: Floats, side: str) -> tuple[Floats, float]:
    """(N - 1)(d - d_i) of each image, and the jackknife's bias, all images from the start."""
    value, count = frechet(real, made), len(real)
    left_out = np.array(
        [
            frechet(
                np.delete(real, place, axis=0) if side != "made" else real,
                np.delete(made, place, axis=0) if side != "real" else made,
            )
            for place in range(count)
        ]
    )
    return (count - 1) * (left_out.mean() - left_out), (count - 1) * (left_out.mean() - value)


def test_influence_and_bias_of_pairs() -> None:
    real, made = sets()
    expansion = expand_frechet(real, made, paired=True)
    assert expansion.value == pytest.approx(frechet(real, made), rel=1e-12)
    plain, bias = influence_by_leaving_out(real, made, "both")
    # What is left out is 1 / N of the set: the expansion's next terms are of that order.
    assert np.abs(expansion.influence - plain).max() < 0.02 * np.abs(plain).max()
    assert expansion.bias == pytest.approx(bias, rel=0.02)


def test_one_decomposition_gives_what_two_give(monkeypatch: pytest.MonkeyPatch) -> None:
    real, made = sets(200)
    fast = expand_frechet(real, made, paired=True)
    monkeypatch.setattr(frechet_influence, "_decomposed", frechet_influence._decomposed_at_any_rank)
    plain = expand_frechet(real, made, paired=True)
    # Two decompositions in float64 of covariances with a condition of some tens.
    np.testing.assert_allclose(fast.influence, plain.influence, rtol=0, atol=1e-12)
    assert (fast.value, fast.bias) == pytest.approx((plain.value, plain.bias), rel=1e-12)


def test_influence_and_bias_of_independent_sides() -> None:
    real, made = sets(num_made=NUM_IMAGES)
    expansion = expand_frechet(real, made, paired=False)
    biases = []
    for side, found in (("real", expansion.real), ("made", expansion.synthesized)):
        plain, bias = influence_by_leaving_out(real, made, side)
        assert np.abs(found - plain).max() < 0.02 * np.abs(plain).max()
        biases.append(bias)
    assert expansion.bias == pytest.approx(sum(biases), rel=0.02)


@pytest.mark.parametrize(("paired", "num_made"), [(True, None), (False, 1100)])
def test_closed_forms_and_groups_agree(paired: bool, num_made: int | None) -> None:
    real, made = sets(num_made=num_made)
    expansion = expand_frechet(real, made, paired=paired)
    left_out = left_out_frechet(real, made, paired=paired)
    # Nineteen degrees of freedom know an error to 16%.
    assert expansion.standard_error == pytest.approx(left_out.standard_error, rel=0.4)
    assert abs(expansion.bias - left_out.bias) < left_out.standard_error / 10


@pytest.mark.parametrize("paired", [True, False])
def test_the_bias_of_equal_gaussians_is_the_published_one(paired: bool) -> None:
    """(2 T + q) / N of two sides of one spectrum w (T = sum w), less where they are correlated."""
    numbers = np.random.default_rng(4)
    widths = np.sqrt(1 / np.arange(1, 9))
    real, other = numbers.normal(size=(2, 20_000, 8)) * widths
    made = 0.6 * real + 0.8 * other if paired else other
    traces = (widths**2).sum()
    pairs = np.add.outer(widths**2, widths**2)
    products = np.outer(widths**2, widths**2)
    q = (products * (1 + np.eye(8)) / pairs).sum()
    expected = (2 * traces + q) / 20_000
    if paired:
        # Differences of pairs: variance 2 (1 - 0.6) of the mean, 1 - 0.36 of the product.
        expected = (2 * traces * 0.4 + q * (1 - 0.36)) / 20_000
    assert expand_frechet(real, made, paired=paired).bias == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("change", ["grey", "constant feature", "equal features"])
def test_directions_without_variance_have_no_influence(change: str) -> None:
    real, made = sets(200)
    if change == "grey":
        made[:] = made[0]
        expected = (real.mean(axis=0) - made[0]) @ (real.mean(axis=0) - made[0])
        expected += real.var(axis=0, ddof=1).sum()
    else:
        kept = [0, 1, 2, 4]
        real[:, 3], made[:, 3] = (0.0, 0.0) if change == "constant feature" else (1.0, 1.0)
        if change == "equal features":
            real[:, 3], made[:, 3] = real[:, 4], made[:, 4]
            kept = [0, 1, 2, 3, 4]
        expected = frechet(real[:, kept], made[:, kept])
    expansion = expand_frechet(real, made, paired=True)
    assert expansion.value == pytest.approx(expected, rel=1e-6)
    assert np.isfinite(expansion.influence).all()
    left_out = left_out_frechet(real, made, paired=True)
    assert expansion.standard_error == pytest.approx(left_out.standard_error, rel=0.4)


def test_a_set_against_itself_has_no_influence() -> None:
    real, _ = sets(200)
    expansion = expand_frechet(real, real, paired=True)
    np.testing.assert_allclose(expansion.influence, 0, atol=1e-12)
    assert expansion.bias == pytest.approx(0, abs=1e-12)


def test_the_error_of_a_mean_is_that_of_its_influence() -> None:
    values = np.array([1.0, 2.0, 3.0, 6.0])
    assert standard_error_of(values) == pytest.approx(values.std(ddof=1) / 2)
