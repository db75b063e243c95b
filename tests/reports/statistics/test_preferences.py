# SPDX-License-Identifier: Apache-2.0
"""Preferences, agreement and strengths against plain forms, other libraries and published cases."""

import math
from itertools import permutations

import numpy as np
import pytest

from spade_eval.reports.statistics.agreement import (
    alpha_with_interval,
    krippendorff_alpha,
    resampled_alpha,
)
from spade_eval.reports.statistics.bootstrap import draw_counts, drawn_images
from spade_eval.reports.statistics.preferences import (
    Votes,
    answers_needed,
    clopper_pearson,
    clopper_pearson_ends,
    clustered_interval,
    crossed_interval,
    design_effect,
    exact_power,
    left_share,
    preference,
)
from spade_eval.reports.statistics.simulated_people import People
from spade_eval.reports.statistics.strengths import (
    bradley_terry,
    is_connected,
    resampled_strengths,
    strengths_with_intervals,
)


def votes_of(seed: int, images: int = 12, people: int = 5) -> Votes:
    numbers = np.random.default_rng(seed)
    image = np.repeat(np.arange(images), people)
    person = np.tile(np.arange(people), images)
    return Votes(image, person, numbers.choice([-1, 0, 1], len(image), p=[0.3, 0.1, 0.6]))


def binomial_tail(least: int, n: int, p: float) -> float:
    """P(X >= least), term by term."""
    return sum(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(least, n + 1))


# -------------------------------------------------------------- Clopper and Pearson


@pytest.mark.parametrize(("wins", "answers"), [(0, 1), (1, 1), (0, 30), (7, 20), (1262, 2500)])
def test_the_exact_interval_is_scipys(wins: int, answers: int) -> None:
    from scipy.stats import binomtest

    known = binomtest(wins, answers).proportion_ci(0.95, method="exact")
    # Its root is found to a relative 1e-9.
    np.testing.assert_allclose(clopper_pearson(wins, answers), tuple(known), rtol=1e-8, atol=1e-9)


def test_the_exact_interval_by_its_definition() -> None:
    """Each end is the preference at which as many wins, or as few, have a chance of 2.5%."""
    low, high = clopper_pearson(13, 20)
    assert binomial_tail(13, 20, low) == pytest.approx(0.025, abs=1e-9)
    assert 1 - binomial_tail(14, 20, high) == pytest.approx(0.025, abs=1e-9)


def test_without_answers_nothing_is_known() -> None:
    assert clopper_pearson(0, 0) == (0.0, 1.0)
    assert clustered_interval(np.zeros(2), np.zeros(2), np.ones((3, 2))) == (0.0, 1.0)
    known = preference(Votes(*[np.array([], int)] * 3), np.ones((3, 2)))
    assert math.isnan(known.value)
    assert known.images == known.decided == 0


def test_the_exact_interval_holds_the_truth_at_least_as_often_as_it_says() -> None:
    """Summed over all outcomes, so without any drawing."""
    for n in (5, 17, 60):
        wins = np.arange(n + 1)
        low, high = clopper_pearson_ends(wins, np.full(n + 1, n))
        for p in (0.5, 0.63, 0.9, 0.99):
            chances = [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]
            assert sum(np.array(chances)[(low <= p) & (p <= high)]) >= 0.95


# -------------------------------------------------------------- images and people drawn anew


def test_the_bootstrap_over_images_is_that_of_answers_written_out() -> None:
    votes = votes_of(1)
    drawn = drawn_images(12, 50, seed=3)
    plain = []
    for images in drawn:
        choices = np.concatenate([votes.choices[votes.images == image] for image in images])
        plain.append((choices == 1).sum() / (choices != 0).sum())
    counts = votes.by_image(12)
    found = clustered_interval(counts[:, 0], counts[:, :2].sum(axis=1), draw_counts(drawn))
    np.testing.assert_allclose(found, np.percentile(plain, [2.5, 97.5]), rtol=1e-12)


def test_answers_that_repeat_each_other_count_once() -> None:
    """Of five equal answers about each image, the effect is 5, times m / (m - 1)."""
    wins = 5.0 * (np.random.default_rng(0).random(50) < 0.6)
    assert design_effect(wins, np.full(50, 5.0)) == pytest.approx(5 * 50 / 49)
    single = np.minimum(wins, 1)
    assert design_effect(single, np.ones(50)) == pytest.approx(50 / 49)
    assert math.isnan(design_effect(np.full(3, 5.0), np.full(3, 5.0)))


def test_the_interval_over_images_and_people_by_its_definition() -> None:
    """A sum over all pairs of answers that share an image or a person."""
    from scipy.stats import t

    several = People(images=12, each=5, per_person=12, image_sd=1.5, person_sd=1.5)
    votes = several.answered(np.random.default_rng(0))
    kept = votes.choices != 0
    image, person = votes.images[kept], votes.people[kept]
    p = votes.wins / kept.sum()
    e = (votes.choices[kept] == 1) - p
    v = 0.0
    for a in range(len(e)):
        for b in range(len(e)):
            same_image, same_person = image[a] == image[b], person[a] == person[b]
            v += e[a] * e[b] * (12 / 11 * same_image + 5 / 4 * same_person - (a == b))
    half = t.ppf(0.975, 4) * math.sqrt(v) / kept.sum()
    np.testing.assert_allclose(crossed_interval(votes), (p - half, p + half), rtol=1e-12)


def test_its_variance_is_at_least_that_over_images() -> None:
    """Of people who all say the same, image by image, (4) falls below it."""
    images, people = np.repeat(np.arange(30), 5), np.tile(np.arange(5), 30)
    alike = Votes(images, people, np.where(images < 20, 1, -1))
    low, high = crossed_interval(alike)
    from scipy.stats import t

    e = np.where(np.arange(30) < 20, 1 / 3, -2 / 3)
    half = t.ppf(0.975, 4) * math.sqrt(30 / 29 * ((5 * e) ** 2).sum()) / 150
    assert (low, high) == pytest.approx((2 / 3 - half, 2 / 3 + half))


def test_one_person_says_nothing_of_others() -> None:
    votes = votes_of(2, people=1)
    assert all(map(math.isnan, crossed_interval(votes)))


# -------------------------------------------------------------- answers needed


@pytest.mark.parametrize("value", [0.95, 0.75, 0.25])
def test_so_many_answers_are_needed(value: float) -> None:
    """By sums of single terms: just before it the chance is below 80%, from there on above."""

    def power(n: int) -> float:
        least = next(k for k in range(n + 2) if binomial_tail(k, n, 0.5) <= 0.025)
        return binomial_tail(least, n, value) + binomial_tail(least, n, 1 - value)

    needed = int(answers_needed(value))
    assert power(needed - 1) < 0.8
    assert all(power(n) >= 0.8 for n in range(needed, needed + 25))


@pytest.mark.parametrize("value", [0.51, 0.55, 0.6, 0.75, 0.9, 0.99])
def test_behind_the_end_of_the_search_the_chance_stays(value: float) -> None:
    needed = int(answers_needed(value))
    assert exact_power(value, np.arange(needed, 3 * needed + 200)).min() >= 0.8


def test_what_nobody_can_see_needs_infinitely_many() -> None:
    assert answers_needed(0.5) == answers_needed(math.nan) == answers_needed(0.5005) == math.inf
    assert answers_needed(1.0) == 6  # 2 / 2^6 < 5%
    assert 19_000 < answers_needed(0.51) < 20_500  # (1.96 + 0.84)^2 / (4 * 0.01^2) = 19 600


def test_clusters_need_more_answers() -> None:
    images, people = np.repeat(np.arange(30), 5), np.tile(np.arange(5), 30)
    alike = Votes(images, people, np.where(images < 20, 1, -1))
    known = preference(alike, np.ones((3, 30)))
    assert known.design_effect == pytest.approx(5 * 30 / 29)
    assert known.needed == pytest.approx(answers_needed(2 / 3) * known.design_effect)
    assert (known.wins, known.decided, known.ties, known.images) == (100, 150, 0, 30)


def test_sides() -> None:
    share, low, high = left_share([True] * 8 + [False] * 2)
    assert share == 0.8
    assert (low, high) == clopper_pearson(8, 10)
    assert math.isnan(left_share([])[0])


# -------------------------------------------------------------- agreement

_MISSING = "."


def counts_of(*coders: str) -> np.ndarray:
    values = sorted({value for row in coders for value in row} - {_MISSING})
    units = zip(*coders, strict=True)
    return np.array([[unit.count(value) for value in values] for unit in units], float)


@pytest.mark.parametrize(
    ("coders", "alpha"),
    [  # Krippendorff (2011), sections A, B and C
        (("0100000010", "1110010000"), 0.095),
        (("aabbdcccedda", "babbbccceddd"), 0.692),
        (("123321412...", "1233224125.3", ".3332342251.", "12332441251."), 0.743),
    ],
)  # fmt: skip
def test_alpha_of_published_cases(coders: tuple[str, ...], alpha: float) -> None:
    assert round(krippendorff_alpha(counts_of(*coders)), 3) == alpha


def test_alpha_by_pairs_of_answers() -> None:
    """Disagreement of all pairs within units, against that of all pairs of answers."""
    numbers = np.random.default_rng(5)
    units = [list(numbers.integers(0, 3, numbers.integers(1, 6))) for _ in range(30)]
    paired = [unit for unit in units if len(unit) > 1]
    everything = [value for unit in paired for value in unit]
    n = len(everything)
    observed = sum(
        sum(a != b for a, b in permutations(unit, 2)) / (len(unit) - 1) for unit in paired
    )
    expected = sum(a != b for a, b in permutations(everything, 2)) / (n - 1)
    counts = np.array([[unit.count(value) for value in range(3)] for unit in units], float)
    assert krippendorff_alpha(counts) == pytest.approx(1 - observed / expected)


def test_alpha_of_two_is_that_of_scott_corrected() -> None:
    """alpha = 1 - (1 - pi) (n - 1) / n of two coders: pi pools their frequencies."""
    counts = counts_of("0100000010", "1110010000")
    shares = counts.sum(axis=0) / counts.sum()
    by_chance = (shares**2).sum()
    pi = ((counts.max(axis=1) == 2).mean() - by_chance) / (1 - by_chance)
    n = counts.sum()
    assert krippendorff_alpha(counts) == pytest.approx(1 - (1 - pi) * (n - 1) / n)


def test_perfect_agreement_and_none_to_speak_of() -> None:
    assert krippendorff_alpha(np.array([[3.0, 0], [0, 3], [3, 0]])) == 1
    assert math.isnan(krippendorff_alpha(np.array([[3.0, 0], [3, 0]])))
    assert math.isnan(krippendorff_alpha(np.array([[1.0, 0], [0, 1]])))


def test_alpha_of_resamples_is_that_of_the_units_written_out() -> None:
    counts = votes_of(7).by_image(12)
    drawn = drawn_images(12, 20, seed=1)
    plain = [krippendorff_alpha(counts[images]) for images in drawn]
    found = resampled_alpha(counts, draw_counts(drawn))
    np.testing.assert_allclose(found, plain, rtol=1e-12)
    value, low, high = alpha_with_interval(counts, draw_counts(drawn))
    assert low < value < high


# -------------------------------------------------------------- strengths


def test_two_rows_have_the_logit_of_their_preference() -> None:
    logs = bradley_terry(np.array([[0.0, 30], [10, 0]]))
    assert logs[0] - logs[1] == pytest.approx(math.log(3))
    assert logs.sum() == pytest.approx(0)


def test_strengths_are_those_of_a_logistic_regression() -> None:
    from sklearn.linear_model import LogisticRegression

    numbers = np.random.default_rng(1)
    wins = np.triu(numbers.integers(5, 60, (4, 4)), 1) + np.tril(
        numbers.integers(5, 60, (4, 4)), -1
    )
    wins = wins.astype(float)
    pairs = [(i, j) for i in range(4) for j in range(4) if i != j]
    design = np.array([np.eye(4)[i] - np.eye(4)[j] for i, j in pairs])
    both = np.concatenate([design, -design])
    labels = np.repeat([1, 0], len(pairs))
    weights = np.array([wins[i, j] for i, j in pairs] * 2)
    fit = LogisticRegression(C=1e10, fit_intercept=False, tol=1e-10, max_iter=10_000)
    slopes = fit.fit(both, labels, weights).coef_[0]
    # The other's penalty and tolerance leave 1e-6.
    np.testing.assert_allclose(bradley_terry(wins), slopes - slopes.mean(), atol=1e-5)


def test_at_the_maximum_expected_wins_are_those_counted() -> None:
    wins = np.array([[0.0, 8, 9, 3], [2, 0, 5, 7], [1, 5, 0, 4], [2, 1, 6, 0]])
    g = np.exp(bradley_terry(wins))
    answers = wins + wins.T
    expected = (answers * g[:, None] / (g[:, None] + g[None, :])).sum(axis=1)
    np.testing.assert_allclose(expected, wins.sum(axis=1), rtol=1e-8)


def test_a_row_that_always_wins_has_no_strength() -> None:
    wins = np.array([[0.0, 3, 3], [0, 0, 2], [0, 1, 0]])
    assert not is_connected(wins[None])
    assert np.isnan(bradley_terry(wins)).all()
    wins[1, 0] = 1
    assert is_connected(wins[None])
    both = resampled_strengths(np.stack([wins, np.zeros((3, 3))]))
    assert np.isfinite(both[0]).all()
    assert np.isnan(both[1]).all()


def test_strengths_of_many_images_have_intervals_that_hold_them() -> None:
    """Of 100 studies of three rows, those of 95% hold each strength; 4 deviations are allowed."""
    truth = np.array([0.6, 0.0, -0.6])
    chances = 1 / (1 + np.exp(truth[None, :] - truth[:, None]))
    held = np.zeros(3)
    for number in range(100):
        numbers = np.random.default_rng([9, number])
        by_image = np.zeros((60, 3, 3))
        for i, j in ((0, 1), (0, 2), (1, 2)):
            by_image[:, i, j] = numbers.binomial(3, chances[i, j], 60)
            by_image[:, j, i] = 3 - by_image[:, i, j]
        times = draw_counts(drawn_images(60, 200, seed=number))
        _, low, high = strengths_with_intervals(by_image, times)
        held += (low <= truth) & (truth <= high)
    assert (held >= 100 * (0.95 - 4 * math.sqrt(0.95 * 0.05 / 100))).all()
