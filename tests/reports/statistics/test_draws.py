# SPDX-License-Identifier: Apache-2.0
"""Intervals over label maps of rows that have several images of each: no draw counts as a map."""

import numpy as np
import pytest
from counted import stored
from numpy.typing import NDArray
from synthetic import measurement

from spade_eval.metrics.counts import StoredCounts
from spade_eval.reports.measured.grouping import Row
from spade_eval.reports.statistics import sides
from spade_eval.reports.statistics.bootstrap import draw_counts, drawn_images, interval, resampled
from spade_eval.reports.statistics.feature_distances import (
    frechet,
    left_out_frechet,
    left_out_plainly,
)
from spade_eval.reports.statistics.frechet_influence import expand_frechet, influence_of_maps
from spade_eval.reports.statistics.kernel_distances import left_out_pairs, paired_sums
from spade_eval.reports.statistics.sides import Side
from spade_eval.reports.statistics.stored_distances import MeanDistance, StoredDistance

Floats = NDArray[np.float64]
OVER = ("miou_pooled", "miou_mean", "miou_best", "acc_valid_pooled", "acc_valid_mean")


def side(draws: list[StoredCounts]) -> Side:
    names = ("miou", "acc_valid", *OVER)
    scores = {
        name: measurement(metric=name, num_draws=len(draws), draws=_over(name)) for name in names
    }
    row = Row(title="a", source="a", kind="images", scores=scores, class_iou={}, num_superseded=0)
    return Side(row, draws[0], "target", {}, tuple(draws))


def _over(name: str) -> str | None:
    return name.rpartition("_")[2] if name in OVER else None


def other_names(counts: StoredCounts) -> StoredCounts:
    return StoredCounts(stored(len(counts), 4, 0).names, counts.counts, counts.num_ignored)


@pytest.mark.parametrize("metric", OVER)
def test_the_same_draw_again_says_nothing_more(metric: str) -> None:
    """Were draws drawn like label maps, four copies would halve the interval."""
    one = stored(50, 4, 0)
    found, plain = side([one] * 4), side([one, one])
    base = metric.rpartition("_")[0]
    expected, drawn = plain.resampled(base), found.resampled(metric)
    assert expected is not None
    assert drawn is not None
    np.testing.assert_allclose(drawn, expected, rtol=1e-12)
    mine, influence = found.influence(metric), plain.influence(base)
    assert mine is not None
    assert influence is not None
    np.testing.assert_allclose(mine, influence, rtol=1e-9, atol=1e-12)


def test_resamples_take_a_label_map_with_all_its_images() -> None:
    draws = [other_names(stored(30, 4, seed)) for seed in range(3)]
    found = side(draws)
    maps = drawn_images(30)
    for place in (0, 17):
        counts = np.concatenate([draw.counts[maps[place]] for draw in draws])
        ignored = np.concatenate([draw.num_ignored[maps[place]] for draw in draws])
        together = StoredCounts(tuple(map(str, range(90))), counts, ignored)
        plain = resampled(together, np.ones((1, 90)), "target").miou[0]
        pooled = found.resampled("miou_pooled")
        assert pooled is not None
        assert pooled[place] == pytest.approx(plain)
        mean = found.resampled("miou_mean")
        assert mean is not None
        times = draw_counts(maps[place : place + 1])
        singles = [resampled(draw, times, "target").miou[0] for draw in draws]
        assert mean[place] == pytest.approx(np.mean(singles))


def test_intervals_hold_the_pooled_score_of_all_maps() -> None:
    """Of 200 draws of 60 maps with 3 alike images, 95% intervals hold the truth; naive ones not."""
    rng = np.random.default_rng(0)
    hits, naive = 0, 0
    for _ in range(200):
        of_map = rng.beta(4, 2, 60)
        draws = [_of_accuracies(of_map, rng) for _ in range(3)]
        low, high = interval(_value(side(draws).resampled("acc_valid_pooled")))
        hits += low <= 2 / 3 <= high
        every = StoredCounts(
            tuple(map(str, range(180))), np.concatenate([draw.counts for draw in draws]),
            np.zeros(180, np.uint32),
        )  # fmt: skip
        times = draw_counts(drawn_images(180, 200))
        low, high = interval(resampled(every, times, "target").acc_valid)
        naive += low <= 2 / 3 <= high
    # Binomial(200, 0.95): below 181 with a chance of 0.4%.
    assert hits >= 181
    assert naive < 170


def _value(values: Floats | None) -> Floats:
    assert values is not None
    return values


def _of_accuracies(of_map: Floats, rng: np.random.Generator) -> StoredCounts:
    hits = rng.binomial(100, of_map)
    counts = np.zeros((len(of_map), 3, 2), np.uint32)
    counts[:, 0, 0], counts[:, 1, 0], counts[:, 2, 0] = hits, 100, hits
    counts[:, 2, 1] = 100 - hits
    return StoredCounts(stored(60, 2, 0).names, counts, np.zeros(60, np.uint32))


def features(num_draws: int, num_maps: int = 80, dim: int = 5) -> tuple[Floats, list[Floats]]:
    rng = np.random.default_rng(1)
    real = rng.normal(size=(num_maps, dim))
    common = 0.7 * real + 0.3 + 0.5 * rng.normal(size=real.shape)
    return real, [common + 0.4 * rng.normal(size=real.shape) for _ in range(num_draws)]


def test_groups_of_label_maps_leave_with_all_their_images() -> None:
    real, draws = features(3)
    pooled = np.concatenate(draws)
    fast = left_out_frechet(real, pooled, paired=True)
    plain = left_out_plainly(real, pooled, paired=True)
    np.testing.assert_allclose(fast.without, plain.without, rtol=1e-9)
    group = np.arange(0, 80, 20)
    without = np.concatenate([np.delete(draw, group, axis=0) for draw in draws])
    expected = frechet(np.delete(real, group, axis=0), without)
    assert plain.without[0, 0] == pytest.approx(expected)


def test_the_influence_of_a_map_is_that_of_its_photo_and_the_mean_of_its_images() -> None:
    """It agrees with the jackknife over the same label maps, which is another way altogether."""
    real, draws = features(3, num_maps=400)
    pooled = np.concatenate(draws)
    influence = influence_of_maps(real, pooled)
    error = influence.std(ddof=1) / np.sqrt(len(influence))
    jackknife = left_out_frechet(real, pooled, paired=True).standard_error
    assert error == pytest.approx(jackknife, rel=0.35)  # 19 degrees of freedom: 16% a deviation
    independent = expand_frechet(real, pooled, paired=False).standard_error
    assert abs(error / independent - 1) > 0.05, "images of one map would count as independent"
    one = influence_of_maps(real, draws[0])
    np.testing.assert_allclose(one, expand_frechet(real, draws[0], paired=True).influence)


def test_the_kernel_sums_of_several_images_by_their_definition() -> None:
    real, draws = features(2, num_maps=45, dim=3)

    def kernel(x: Floats, y: Floats) -> float:
        return float((x @ y / 3 + 1) ** 3)

    total, count = 0.0, 0
    for i in range(45):
        for j in range(45):
            if i == j:
                continue
            made = np.mean([[kernel(one[i], other[j]) for one in draws] for other in draws])
            crossed = np.mean([kernel(real[i], one[j]) + kernel(real[j], one[i]) for one in draws])
            total += kernel(real[i], real[j]) + made - crossed
            count += 1
    found = left_out_pairs(paired_sums(real, np.concatenate(draws)))
    assert found.value == pytest.approx(total / count)


@pytest.mark.parametrize("metric", ["fd_in_domain", "kid"])
def test_the_mean_of_equal_draws_is_one_of_them(metric: str) -> None:
    real, (made,) = features(1)
    one = StoredDistance(metric, frechet(real, made), real, made)
    mean = MeanDistance(one.recorded, (one, one, one))
    # A mean of three equal numbers is rounded.
    for found in (mean.corrected, mean.settled().corrected):
        assert (found.value, found.low, found.high) == pytest.approx(
            (one.corrected.value, one.corrected.low, one.corrected.high), rel=1e-14
        )
    np.testing.assert_allclose(mean.influence, one.influence)
    assert one.settled().corrected == one.corrected


def test_the_mean_of_draws_is_surer_than_one_of_them() -> None:
    real, draws = features(4, num_maps=300)
    singles = [StoredDistance("fd_in_domain", frechet(real, made), real, made) for made in draws]
    recorded = float(np.mean([single.recorded for single in singles]))
    mean = MeanDistance(recorded, tuple(singles))
    widths = [single.corrected.high - single.corrected.low for single in singles]
    assert mean.corrected.high - mean.corrected.low < np.mean(widths)
    assert mean.corrected.value == pytest.approx(np.mean([one.corrected.value for one in singles]))


def test_pooled_rows_of_other_numbers_of_images_are_not_tested() -> None:
    two, three = (
        side([other_names(stored(40, 4, seed)) for seed in range(number)]) for number in (2, 3)
    )
    assert sides.tested("miou_pooled", two, three).num_images == 0
    assert sides.tested("miou_mean", two, three).num_images == 40
    assert sides.tested("miou_pooled", two, two).num_images == 40
