# SPDX-License-Identifier: Apache-2.0
"""The bootstrap as one matrix product is the bootstrap as a loop, and fast enough to be used."""

import dataclasses
import time

import numpy as np
import pytest
import torch
from counted import counts_of, stored

from spade_eval.metrics.counts import StoredCounts, miou_of
from spade_eval.metrics.segmentation import SegmentationScores
from spade_eval.reports.statistics.bootstrap import (
    RESAMPLED_METRICS,
    draw_counts,
    drawn_images,
    interval,
    resampled,
)


@pytest.mark.parametrize("average", ["target", "union", "all"])
def test_the_product_is_the_loop(average: str) -> None:
    counts = stored(num_images=9, num_classes=5, seed=1)
    drawn = drawn_images(9, 40, seed=3)
    fast = resampled(counts, draw_counts(drawn), average)
    for place, images in enumerate(drawn):
        names = tuple(counts.names[image] for image in images)
        redrawn = StoredCounts(names, counts.counts[images], counts.num_ignored[images])
        plain = resampled(redrawn, np.ones((1, len(images))), average)
        for field in dataclasses.fields(fast):
            expected = getattr(plain, field.name)[0]
            np.testing.assert_array_equal(getattr(fast, field.name)[place], expected)


@pytest.mark.parametrize("average", ["target", "union", "all"])
def test_every_image_once_gives_the_scores_of_the_split(average: str) -> None:
    numbers = torch.Generator().manual_seed(0)
    target = torch.randint(0, 6, (7, 12, 12), generator=numbers)
    target[target == 4] = 0  # a class that does not occur, but is predicted
    target[:, :2] = 255
    prediction = torch.randint(0, 5, (7, 12, 12), generator=numbers)
    scores = SegmentationScores(6, averaged=average)
    scores.update(prediction, target)
    found = resampled(counts_of(prediction, target, 6), np.ones((1, 7)), average)
    # The same fractions, added in another order.
    for name in RESAMPLED_METRICS:
        assert found.of(name)[0] == pytest.approx(scores.compute()[name], abs=1e-12)
    expected = [np.nan if value is None else value for value in scores.per_class_iou()]
    np.testing.assert_allclose(found.iou[0], expected, atol=1e-12)


def test_draws_are_counted_per_resample() -> None:
    drawn = np.array([[0, 0, 2], [1, 1, 1]])
    assert draw_counts(drawn).tolist() == [[2, 0, 1], [0, 3, 0]]
    assert draw_counts(drawn_images(50, 20)).sum(axis=1).tolist() == [50.0] * 20
    assert np.array_equal(drawn_images(50, 20), drawn_images(50, 20))


def test_the_interval_covers_what_it_promises() -> None:
    """Accuracy of images drawn from a known source: 95% of intervals hold the true value."""
    numbers, held = np.random.default_rng(0), 0
    for trial in range(200):
        correct = numbers.binomial(100, numbers.beta(8, 2, 60)).astype(np.uint32)  # mean 0.8
        counts = np.zeros((60, 3, 1), np.uint32)
        counts[:, 0, 0], counts[:, 1, 0], counts[:, 2, 0] = correct, 100, 100
        split = StoredCounts(tuple(map(str, range(60))), counts, np.zeros(60, np.uint32))
        times = draw_counts(drawn_images(60, 400, seed=trial))
        low, high = interval(resampled(split, times, "target").acc_valid)
        held += low <= 0.8 <= high
    # Binomial(200, 0.95) is within 184..196 with 97%; percentile intervals of 60 are a bit short.
    assert 178 <= held <= 198


def test_a_class_absent_from_a_resample_has_no_iou_there() -> None:
    counts = np.zeros((2, 3, 2), np.uint32)
    counts[0, :, 0] = counts[1, :, 1] = 10
    split = StoredCounts(("a", "b"), counts, np.zeros(2, np.uint32))
    found = resampled(split, np.array([[2.0, 0.0], [1.0, 1.0]]), "target")
    assert found.iou[0, 0] == 1
    assert np.isnan(found.iou[0, 1])
    assert found.miou.tolist() == [1.0, 1.0]
    low, high = interval(found.iou)
    assert low.tolist() == high.tolist() == [1.0, 1.0]
    assert np.isnan(miou_of(np.zeros((3, 2)), "target"))


@pytest.mark.slow
def test_coco_takes_seconds() -> None:
    """1,000 resamples of 5,000 images and 182 classes, two methods: 1.4 s on one loaded core."""
    first, second = (stored(5000, 182, seed) for seed in (0, 1))
    start = time.process_time()  # of this process: other work on the machine does not count
    times = draw_counts(drawn_images(5000))
    mine, other = (resampled(counts, times, "target") for counts in (first, second))
    interval(mine.miou - other.miou)
    interval(mine.iou - other.iou)
    assert time.process_time() - start < 5
