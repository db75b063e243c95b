# SPDX-License-Identifier: Apache-2.0
"""Intervals against a population whose scores are known: the small version of the measurement."""

import math

import numpy as np
import pytest
from counted import stored
from numpy.typing import NDArray

from spade_eval.reports.statistics import stored_distances
from spade_eval.reports.statistics.feature_distances import frechet
from spade_eval.reports.statistics.kernel_distances import left_out_sides
from spade_eval.reports.statistics.population import KERNEL, Images, Population
from spade_eval.reports.statistics.validation import Validated, _power, validate

FRECHET = "fd_in_domain"
Floats = NDArray[np.float64]


def population(count: int = 300) -> Population:
    """Two rows of one distance from the photos or nearly so, and accuracies of one source."""
    numbers = np.random.default_rng(0)
    shared, noise, first, second = numbers.normal(size=(4, count, 5))
    photos = shared + noise / 2
    rows = {}
    for place, (title, own) in enumerate((("one", first), ("other", second))):
        made = shared * 0.9 + own / 2
        made[:, place] = made[:, place] * 1.5 + 0.4
        rows[title] = Images(stored(count, 4, seed=place), "target", photos, made)
    return Population(rows, FRECHET)


@pytest.fixture(scope="module")
def measured() -> dict[tuple[str, str], Validated]:
    found = validate(population(), [80], 60)
    return {(item.subject, item.metric): item for item in found}


@pytest.mark.parametrize("metric", ["miou", "acc_valid", "fwiou", FRECHET, KERNEL])
def test_intervals_hold_what_they_say(
    measured: dict[tuple[str, str], Validated], metric: str
) -> None:
    for subject in ("one", "other", "one - other"):
        item = measured[subject, metric]
        # 60 draws: 95% is known to 2.8 points, and three of those are 8.
        assert item.coverage >= 0.86, item
        assert 0.7 < item.width < 1.5, item
        assert abs(item.bias) < 4 * item.deviation / math.sqrt(60), item
    assert measured["one - other", metric].false_verdicts <= 0.14


def test_intervals_that_are_too_narrow_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_distances, "T_QUANTILE", 0.4)
    monkeypatch.setattr(stored_distances, "NORMAL_QUANTILE", 0.4)
    found = {(i.subject, i.metric): i for i in validate(population(), [80], 40)}
    assert found["one", FRECHET].coverage < 0.6
    assert found["one", FRECHET].width < 0.5
    assert found["one - other", FRECHET].false_verdicts > 0.4


def test_a_bias_that_stays_in_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_distances.LeftOut, "bias", 0.0)
    found = {(i.subject, i.metric): i for i in validate(population(), [80], 20)}
    item = found["one", FRECHET]
    assert item.bias > 4 * item.deviation / math.sqrt(20)


def test_the_same_seed_draws_the_same(measured: dict[tuple[str, str], Validated]) -> None:
    again = {(i.subject, i.metric): i for i in validate(population(), [80], 3, seed=1)}
    once_more = {(i.subject, i.metric): i for i in validate(population(), [80], 3, seed=1)}
    assert again.keys() == measured.keys()
    assert repr(again) == repr(once_more)
    assert again["one", "miou"] != measured["one", "miou"]


def test_processes_change_no_number() -> None:
    alone, shared = (list(validate(population(), [45], 3, workers=workers)) for workers in (1, 2))
    assert repr(shared) == repr(alone)


def test_the_population_is_that_of_many_copies() -> None:
    """Sample sizes that grow without end: each label map many times."""
    images = population(30).rows["one"]
    x, y = (np.tile(side, (60, 1)) for side in (images.photos, images.features))
    assert images.population_distance(FRECHET) == pytest.approx(frechet(x, y), rel=3e-3)
    expected = left_out_sides(x, y).value
    assert images.population_distance(KERNEL) == pytest.approx(expected, rel=5e-2)


def test_a_coin_makes_two_rows_that_do_not_differ() -> None:
    one, other = population().rows.values()
    coin = np.random.default_rng(0).random(300) < 0.5
    first, second = one.where(coin, other), other.where(coin, one)
    np.testing.assert_array_equal(first.features[coin], one.features[coin])
    np.testing.assert_array_equal(second.features[coin], other.features[coin])
    np.testing.assert_array_equal(first.counts.counts[~coin], other.counts.counts[~coin])
    total = first.counts.counts.astype(int) + second.counts.counts
    np.testing.assert_array_equal(total, one.counts.counts.astype(int) + other.counts.counts)


def test_distances_up_to_as_many_images_as_features_have_verdicts_alone() -> None:
    wide = population()
    rows = {
        title: Images(i.counts, i.average, np.tile(i.photos, 10), np.tile(i.features, 10))
        for title, i in wide.rows.items()
    }
    found = {(i.subject, i.metric) for i in validate(Population(rows, FRECHET), [45], 3)}
    assert ("one", FRECHET) not in found
    assert ("one - other", FRECHET) in found
    assert ("one", KERNEL) in found


def test_power_is_that_of_the_normal_law() -> None:
    assert _power(0.0, 1.0) == pytest.approx(0.05, abs=1e-6)
    assert _power(2.802, 1.0) == pytest.approx(0.8, abs=1e-3)  # the smallest detectable difference
    assert math.isnan(_power(1.0, 0.0))
