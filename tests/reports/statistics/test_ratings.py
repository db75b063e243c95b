# SPDX-License-Identifier: Apache-2.0
"""Published ratings are as printed, and statistics on them are those of independent references."""

import math
from itertools import permutations, product

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import binomtest

from spade_eval.reports.statistics.agreement import krippendorff_alpha
from spade_eval.reports.statistics.bootstrap import Floats, draw_counts, drawn_images
from spade_eval.reports.statistics.preferences import clopper_pearson, preference
from spade_eval.reports.statistics.ratings import (
    FOLDER,
    SCORES,
    TASKS,
    Agreement,
    Mistaken,
    Preferred,
    alpha_of_kappa,
    chance_of_other_half,
    held_by_other_half,
    read_mistakes,
    read_printed,
    read_ratings,
)
from spade_eval.reports.statistics.strengths import bradley_terry

RATINGS = {task: read_ratings(task) for task in TASKS}
PRINTED = [tuple(row) for row in read_printed().itertuples(index=False)]
_PRINTED = 0.005 + 1e-9  # two decimals
# `df_results` and `df_results_sem` of analyse_human_experiments_lsun256.ipynb: f_err_rt.
LSUN = {
    "admnet-dropout": (0.440400, 0.021890), "ct2": (0.179200, 0.027373),
    "diffusion-projected-gan": (0.166923, 0.023296), "ddpm": (0.276000, 0.020801),
    "iddpm": (0.330800, 0.028307), "projected-gan": (0.140400, 0.017306),
    "stylegan": (0.253846, 0.024533), "unleashing-transformers": (0.240400, 0.026873),
}  # fmt: skip


def ordinal_alpha(given: Floats) -> float:
    """Krippendorff's ordinal alpha, from pairs of answers, one by one; (units, raters)."""
    values = sorted({*given.ravel()})
    n_of = {value: int((given == value).sum()) for value in values}

    def distance(one: float, other: float) -> float:
        low, high = sorted((one, other))
        between = sum(n_of[value] for value in values if low <= value <= high)
        return (between - (n_of[one] + n_of[other]) / 2) ** 2

    n = given.size
    within = sum(distance(a, b) / (len(row) - 1) for row in given for a, b in permutations(row, 2))
    across = sum(n_of[a] * n_of[b] * distance(a, b) for a, b in product(values, values))
    return 1 - (within / n) / (across / (n * (n - 1)))


@pytest.mark.parametrize("row", PRINTED, ids=lambda row: " ".join(map(str, row[:3])))
def test_ratings_and_agreement_are_those_that_imagenhub_prints(
    row: tuple[str, str, str, float, float, float],
) -> None:
    task, system, score, mean, kappa, ordinal = row
    ratings = RATINGS[task][score]
    place = ratings.systems.index(system)
    given = ratings.values[place]
    assert given.mean() == pytest.approx(mean, abs=_PRINTED)
    # By the `krippendorff` package there, a sum over pairs here: the files are transcribed rightly.
    assert ordinal_alpha(given) == pytest.approx(ordinal, abs=_PRINTED)
    # By statsmodels there: the suite's alpha is right on real answers.
    alpha = krippendorff_alpha(ratings.counts(place))
    assert alpha == pytest.approx(alpha_of_kappa(kappa, given.size), abs=_PRINTED)


def test_the_ratings_are_complete_and_carry_their_licence() -> None:
    sizes = {task: found["overall"].values.shape for task, found in RATINGS.items()}
    assert sizes == {"control_guided": (2, 150, 3), "multi_subject": (3, 102, 3)}
    assert len(PRINTED) == 15
    for found in RATINGS.values():
        assert {*found["consistency"].values.ravel()} == {0.0, 0.5, 1.0}
    # Characters of the authors' three files, whose lines end in CR and LF: every 0.5 has two more.
    for rater, characters in enumerate((6627, 6665, 6723)):
        both = [RATINGS["control_guided"][score].values[..., rater] for score in SCORES[:2]]
        names = sum(
            len(f"sample_{i}_control_{('canny', 'depth', 'openpose', 'grayscale', 'hed')[i % 5]}")
            for i in range(150)
        )
        lines = names + 150 * len(".jpg\t[0,0]\t[0,0]\r\n") + len("uid\tControlNet\tUniControl")
        halves = sum(int((scores == 0.5).sum()) for scores in both)
        assert lines + 2 * halves == characters
    notice = (FOLDER / "LICENSES.md").read_text(encoding="utf-8")
    assert all(f"`{path.name}`" in notice for path in FOLDER.glob("*.csv"))
    for holder in ("2023 Max Ku", "2023 Layer 6 AI"):
        assert f"MIT License\n\nCopyright (c) {holder}\n\nPermission is hereby granted" in notice
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 50_000


@pytest.mark.parametrize("model", LSUN)
def test_mistakes_are_those_that_dgm_eval_prints(model: str) -> None:
    mistakes = read_mistakes()[model] / 100
    mean, error = LSUN[model]
    assert mistakes.mean() == pytest.approx(mean, abs=1e-6)
    assert mistakes.std(ddof=1) / math.sqrt(len(mistakes)) == pytest.approx(error, abs=1e-6)
    # With no two answers about one image, (4) is Student's interval of the people's means.
    item = Mistaken(read_mistakes()[model])
    ends = item.intervals(np.arange(item.units), np.ones((1, item.units)))
    from scipy.stats import t as student

    half = student.ppf(0.975, item.units - 1) * error
    # What is left of the images, sum_a e_a^2 / (m - 1) of 2,500 answers, is that small.
    assert ends["crossed"] == pytest.approx((mean - half, mean + half), abs=1e-4)
    test = binomtest(int(item.mistakes.sum()), 100 * item.units)
    assert ends["exact"] == pytest.approx(tuple(test.proportion_ci(method="exact")), abs=1e-9)


@pytest.mark.parametrize("score", SCORES)
def test_preferences_of_ratings_are_those_counted_by_hand(score: str) -> None:
    ratings = RATINGS["control_guided"][score]
    first, second = ratings.values
    wins, losses = int((first > second).sum()), int((first < second).sum())
    known = preference(ratings.votes(0, 1), draw_counts(drawn_images(150)))
    assert (known.wins, known.decided, known.ties) == (wins, wins + losses, 450 - wins - losses)
    exact = binomtest(wins, wins + losses).proportion_ci(method="exact")
    assert known.exact == pytest.approx(tuple(exact), abs=1e-9)
    # Images drawn anew, one by one, with all their answers.
    numbers = np.random.default_rng(1)
    values = []
    for _ in range(2000):
        drawn = numbers.integers(0, 150, 150)
        more, less = (first > second)[drawn].sum(), (first < second)[drawn].sum()
        values.append(more / (more + less))
    # Ends of 2,000 draws beside 1,000 have a standard error of about 0.004.
    assert known.clustered == pytest.approx(tuple(np.percentile(values, [2.5, 97.5])), abs=0.02)
    # Of two systems strengths are the logit of the preference.
    one, other = bradley_terry(ratings.wins_by_image().sum(axis=0))
    assert one - other == pytest.approx(math.log(wins / losses), abs=1e-8)


def test_strengths_of_three_systems_have_the_greatest_likelihood() -> None:
    wins = RATINGS["multi_subject"]["consistency"].wins_by_image().sum(axis=0)

    def loss(free: Floats) -> float:
        strengths = np.array([*free, -sum(free)])
        return float((wins * np.log1p(np.exp(strengths[None] - strengths[:, None]))).sum())

    found = minimize(loss, np.zeros(2), tol=1e-10).x
    assert bradley_terry(wins) == pytest.approx([*found, -sum(found)], abs=1e-4)
    means = RATINGS["multi_subject"]["consistency"].values.mean(axis=(1, 2))
    assert list(np.argsort(bradley_terry(wins))) == list(np.argsort(means))


def test_an_interval_of_95_percent_holds_the_other_half_in_83() -> None:
    assert chance_of_other_half() == pytest.approx(0.834, abs=5e-4)  # Cumming and Maillardet, 2006
    numbers = np.random.default_rng(0)
    one, other = numbers.standard_normal((2, 100_000))
    assert (abs(one - other) < 1.96).mean() == pytest.approx(chance_of_other_half(), abs=0.005)
    assert chance_of_other_half(12) == pytest.approx(0.851, abs=5e-4)


_SPLITS = 100
_FOUR_DEVIATIONS = 4 * math.sqrt(0.834 * 0.166 / _SPLITS)


def test_half_of_the_images_tells_the_other_by_the_bootstrap_over_images() -> None:
    ratings = RATINGS["control_guided"]["overall"]
    preferred, agreement = held_by_other_half(
        [Preferred(ratings.votes(0, 1).by_image(150)), Agreement(ratings.counts(0))], _SPLITS
    )
    assert abs(preferred["clustered"] - 0.834) < _FOUR_DEVIATIONS
    assert abs(agreement["alpha"] - 0.834) < _FOUR_DEVIATIONS
    assert preferred["exact"] < preferred["clustered"]


def test_half_of_the_people_tells_the_other_only_where_people_are_drawn() -> None:
    (held,) = held_by_other_half([Mistaken(read_mistakes()["ct2"])], _SPLITS)
    assert held["exact"] < 0.6
    assert abs(held["crossed"] - 0.851) < _FOUR_DEVIATIONS
    # That answers are independent is wrong by far: their interval is less than a third as wide.
    item = Mistaken(read_mistakes()["ct2"])
    low, high = item.intervals(np.arange(item.units), np.ones((1, item.units)))["crossed"]
    narrow = clopper_pearson(int(item.mistakes.sum()), 100 * item.units)
    assert (high - low) > 3 * (narrow[1] - narrow[0])
