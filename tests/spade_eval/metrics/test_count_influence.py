# SPDX-License-Identifier: Apache-2.0
"""Influence values are derivatives: of the score with an image's weight, by central differences."""

import numpy as np
import pytest

from spade_eval.metrics.count_influence import STOPPABLE, count_influence, iou_influence
from spade_eval.metrics.counts import ClassAverage, StoredCounts
from spade_eval.reports.statistics.bootstrap import (
    RESAMPLED_METRICS,
    draw_counts,
    drawn_images,
    resampled,
)

_STEP = 1e-5


def drawn_counts(num_images: int, seed: int = 0) -> StoredCounts:
    """Classes of which the fourth is only predicted, the fifth in no image at all."""
    numbers = np.random.default_rng(seed)
    target = numbers.integers(1, 60, (num_images, 5))
    target[:, 3:] = 0
    prediction = numbers.integers(1, 60, (num_images, 5))
    prediction[:, 4] = 0
    hits = (np.minimum(target, prediction) * numbers.random((num_images, 5))).astype(int)
    counts = np.stack([hits, target, prediction], axis=1).astype(np.uint32)
    ignored = numbers.integers(0, 9, num_images).astype(np.uint32)
    return StoredCounts(tuple(map(str, range(num_images))), counts, ignored)


@pytest.mark.parametrize("average", ["target", "union", "all"])
@pytest.mark.parametrize("metric", STOPPABLE)
def test_they_are_the_derivative_with_the_weight_of_an_image(
    metric: str, average: ClassAverage
) -> None:
    counts = drawn_counts(7)
    # d score / d weight_i at weights of 1 is psi_i / N.
    moved = np.ones((14, 7))
    moved[:7] += _STEP * np.eye(7)
    moved[7:] -= _STEP * np.eye(7)
    scores = resampled(counts, moved, average).of(metric)
    influence = count_influence(counts, metric, average)
    assert scores is not None
    assert influence is not None
    slopes = (scores[:7] - scores[7:]) / (2 * _STEP)
    # Central differences of step h are right to h², 1e-10, and rounding to 1e-16 / h.
    assert influence / 7 == pytest.approx(slopes, abs=1e-8)
    assert influence.sum() == pytest.approx(0, abs=1e-12)


def test_of_classes_too_and_none_where_a_class_has_no_union() -> None:
    counts = drawn_counts(7)
    moved = np.ones((2, 7))
    moved[0, 2] += _STEP
    moved[1, 2] -= _STEP
    iou = resampled(counts, moved, "union").iou
    influence = iou_influence(counts)
    assert influence[2, :4] / 7 == pytest.approx((iou[0] - iou[1])[:4] / (2 * _STEP), abs=1e-8)
    assert np.isnan(influence[:, 4]).all()


def test_every_metric_of_counts_has_them() -> None:
    assert set(STOPPABLE) == set(RESAMPLED_METRICS)
    assert count_influence(drawn_counts(3), "fid", "target") is None


@pytest.mark.parametrize("metric", STOPPABLE)
def test_their_standard_error_is_that_of_the_bootstrap(metric: str) -> None:
    counts = drawn_counts(400)
    values = resampled(counts, draw_counts(drawn_images(400)), "target").of(metric)
    influence = count_influence(counts, metric, "target")
    assert values is not None
    assert influence is not None
    error = influence.std(ddof=1) / np.sqrt(400)
    # 1,000 resamples know a deviation to 1 / sqrt(2,000) = 2.2%; three of those.
    assert error == pytest.approx(values.std(), rel=0.07)
