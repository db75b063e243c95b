# SPDX-License-Identifier: Apache-2.0
"""Kendall's tau of rankings under two segmenters, against SciPy and known rankings."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from spade_eval.metrics.counts import StoredCounts
from spade_eval.reports.statistics.bootstrap import draw_counts, drawn_images, resampled
from spade_eval.reports.statistics.segmenter_agreement import Judged, agreements, kendall

NUM_IMAGES, NUM_CLASSES = 60, 4


def test_all_resamples_at_once_are_scipys_one_by_one() -> None:
    numbers = np.random.default_rng(0)
    x, y = (numbers.integers(0, 5, (200, 6)).astype(float) for _ in range(2))  # with ties
    x[0] = 1.0  # nothing is ranked
    expected = [kendalltau(a, b).statistic for a, b in zip(x, y, strict=True)]
    assert np.isnan(kendall(x, y)[0])
    assert np.allclose(kendall(x, y), expected, atol=1e-12, equal_nan=True)


def _counts(share: float, numbers: np.random.Generator) -> StoredCounts:
    """So many hits of 100 pixels a class, give or take."""
    hits = numbers.binomial(100, share, (NUM_IMAGES, NUM_CLASSES))
    counts = np.stack([hits, np.full_like(hits, 100), np.full_like(hits, 100)], axis=1)
    names = tuple(f"{i}" for i in range(NUM_IMAGES))
    return StoredCounts(names, counts.astype(np.uint32), np.zeros(NUM_IMAGES, np.uint32))


def _judged(name: str, shares: list[float], seed: int) -> Judged:
    numbers = np.random.default_rng(seed)
    times = draw_counts(drawn_images(NUM_IMAGES))
    counts = [_counts(share, numbers) for share in shares]
    miou = [float(resampled(c, np.ones((1, NUM_IMAGES)), "target").miou[0]) for c in counts]
    return Judged(name, {"miou": miou}, [resampled(c, times, "target") for c in counts])


def test_rankings_far_apart_agree_for_sure_and_reversed_ones_do_not() -> None:
    first = _judged("a", [0.2, 0.5, 0.8], 0)
    same, reverse = _judged("b", [0.3, 0.6, 0.7], 1), _judged("c", [0.8, 0.5, 0.2], 2)
    (alike,) = agreements([first, same], ["miou"])
    (other,) = agreements([first, reverse], ["miou"])
    assert (alike.tau, alike.low, alike.high) == (1.0, 1.0, 1.0)
    assert (other.tau, other.low, other.high) == (-1.0, -1.0, -1.0)
    assert (alike.first, alike.second, alike.num_models) == ("a", "b", 3)


def test_models_that_hardly_differ_leave_tau_open() -> None:
    close = [0.500, 0.501, 0.502]
    (found,) = agreements([_judged("a", close, 0), _judged("b", close, 1)], ["miou"])
    assert found.low < 0 < found.high


@pytest.mark.parametrize("models", [1, 2])
def test_fewer_than_three_models_have_no_ranking(models: int) -> None:
    shares = [0.2, 0.8][:models]
    assert agreements([_judged("a", shares, 0), _judged("b", shares, 1)], ["miou"]) == []
