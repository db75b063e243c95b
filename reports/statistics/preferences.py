# SPDX-License-Identifier: Apache-2.0
"""How often people prefer one row to another, and how well that is known.

An answer about a pair of rows is 1 (the first is preferred), -1 (the second) or 0 (a tie). With w
answers for the first and n decided ones, ties left out,

    p = w / n                                                                                 (1)

Three intervals stand beside it, since they are about different things:

- Clopper and Pearson (1934): exact, for n independent answers. Beta quantiles:

    low = B(a/2; w, n - w + 1),   high = B(1 - a/2; w + 1, n - w)                              (2)

- Images drawn anew, with all answers about each (a bootstrap of clusters; Field and Welsh, 2007):
  answers about one image are alike, so that 2500 answers about 500 images say less than 2500 about
  as many. Percentiles of

    p* = sum_i t_i w_i / sum_i t_i n_i,   t_i how often image i was drawn                      (3)

- Other images and other people: both are clusters, and cross (Cameron, Gelbach and Miller, 2011).
  With e_a = x_a - p, x_a = 1 for an answer for the first row and else 0, m images and q people,

    v = [ m/(m-1) sum_i (sum_{a about i} e_a)^2 + q/(q-1) sum_j (sum_{a of j} e_a)^2
          - sum_a e_a^2 ] / n^2                                                               (4)
    p -+ T(1 - a/2; min(m, q) - 1) sqrt(v),   T of Student's law
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spade_eval.reports.statistics.bootstrap import Floats, interval

LEVEL = 0.95
POWER = 0.8
MOST_ANSWERS = 200_000  # that are counted; a study never has more
_EVEN = 0.5
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Votes:
    """Answers about one pair of rows; all arrays are (A,)."""

    images: Ints  # places of the images asked about
    people: Ints  # places of those who answered
    choices: Ints  # 1: the first row, 0: a tie, -1: the second row

    def __len__(self) -> int:
        return len(self.choices)

    @property
    def wins(self) -> int:
        """Answers for the first row."""
        return int((self.choices == 1).sum())

    @property
    def ties(self) -> int:
        return int((self.choices == 0).sum())

    @property
    def decided(self) -> int:
        """Answers that are no tie."""
        return len(self) - self.ties

    def by_image(self, num_images: int) -> Floats:
        """Count (num_images, 3): answers for the first row, for the second, ties."""
        counts = np.zeros((num_images, 3))
        np.add.at(counts, (self.images, np.array([2, 0, 1])[self.choices]), 1)
        return counts


@dataclass(frozen=True)
class Preference:
    """What is known of one pair; fractions, NaN where nothing is known."""

    wins: int
    decided: int
    ties: int
    images: int  # that were asked about
    value: float  # (1)
    exact: tuple[float, float]  # (2)
    clustered: tuple[float, float]  # (3)
    crossed: tuple[float, float]  # (4)
    design_effect: float  # (5)
    needed: float  # decided answers that show a preference of this size; infinity where none do


def preference(votes: Votes, times: Floats) -> Preference:
    """Summarise the answers about a pair; `times` (R, images) is how often images were drawn."""
    counts = votes.by_image(times.shape[1])
    wins, decided = counts[:, 0], counts[:, 0] + counts[:, 1]
    value = votes.wins / votes.decided if votes.decided else math.nan
    effect = design_effect(wins, decided)
    return Preference(
        wins=votes.wins,
        decided=votes.decided,
        ties=votes.ties,
        images=int((counts.sum(axis=1) > 0).sum()),
        value=value,
        exact=clopper_pearson(votes.wins, votes.decided),
        clustered=clustered_interval(wins, decided, times),
        crossed=crossed_interval(votes),
        design_effect=effect,
        needed=answers_needed(value) * max(1.0, 1.0 if math.isnan(effect) else effect),
    )


def clopper_pearson(wins: int, answers: int, level: float = LEVEL) -> tuple[float, float]:
    """Return the exact interval (2) of a fraction; Clopper and Pearson, Biometrika 26 (1934)."""
    if not answers:
        return 0.0, 1.0
    low, high = clopper_pearson_ends(np.array([wins]), np.array([answers]), level)
    return float(low[0]), float(high[0])


def clopper_pearson_ends(
    wins: NDArray[np.int64], answers: NDArray[np.int64], level: float = LEVEL
) -> tuple[Floats, Floats]:
    """Return both ends of (2) for arrays of one shape."""
    from scipy.stats import beta

    tail = (1 - level) / 2
    with np.errstate(invalid="ignore"):
        low = np.where(wins == 0, 0.0, beta.ppf(tail, wins, answers - wins + 1))  # (2)
        high = np.where(wins == answers, 1.0, beta.ppf(1 - tail, wins + 1, answers - wins))
    return low, high


def clustered_interval(wins: Floats, decided: Floats, times: Floats) -> tuple[float, float]:
    """Return percentiles of (3); `wins` and `decided` are (images,), `times` (R, images)."""
    if not decided.any():
        return 0.0, 1.0
    with np.errstate(invalid="ignore"):
        low, high = interval((times @ wins) / (times @ decided))  # (3)
    return float(low), float(high)


def crossed_interval(votes: Votes, level: float = LEVEL) -> tuple[float, float]:
    """Return (4), within [0, 1]; NaN of one person or one image alone.

    The variance is at least that over images and that over people: (4) can fall below both.
    """
    from scipy.stats import t as student

    decided = votes.choices != 0
    images, people = (ids[decided] for ids in (votes.images, votes.people))
    m, q, n = len(np.unique(images)), len(np.unique(people)), len(images)
    if min(m, q) < 2:
        return math.nan, math.nan
    p = votes.wins / n
    e = (votes.choices[decided] == 1) - p
    over_images = m / (m - 1) * (np.bincount(images, e) ** 2).sum()
    over_people = q / (q - 1) * (np.bincount(people, e) ** 2).sum()
    v = max(over_images + over_people - (e**2).sum(), over_images, over_people) / n**2  # (4)
    half = float(student.isf((1 - level) / 2, min(m, q) - 1) * math.sqrt(v))
    return max(0.0, p - half), min(1.0, p + half)


def design_effect(wins: Floats, decided: Floats) -> float:
    """Return how many answers about shared images count as one independent answer.

    The variance of the ratio (1) over m images, against that of n independent answers
    (Kish, 1965; Cochran, 1977, eq. 6.13); NaN where all answers agree or one image was asked:

        [m / (m - 1)] sum_i (w_i - p n_i)^2 / n^2   /   [p (1 - p) / n]                        (5)
    """
    asked = decided > 0
    m, n = int(asked.sum()), decided.sum()
    p = wins.sum() / n if n else math.nan
    if m < 2 or not 0 < p < 1:
        return math.nan
    variance = m / (m - 1) * ((wins - p * decided) ** 2).sum() / n**2
    return float(variance / (p * (1 - p) / n))


def answers_needed(value: float, level: float = LEVEL, power: float = POWER) -> float:
    """Return how many independent answers show that a preference is not 1/2.

    The least n from which on the exact interval (2) leaves out 1/2 with this chance, when the
    true preference is `value`; infinity where that takes more than `MOST_ANSWERS`. The power of
    an exact test goes up and down with n, hence "from which on".
    """
    from scipy.stats import norm

    away = abs(value - _EVEN)
    if math.isnan(away) or away == 0:
        return math.inf
    normal = ((norm.isf((1 - level) / 2) + norm.ppf(power)) / (2 * away)) ** 2
    most = math.ceil(1.2 * normal + 60)  # behind it the power stays above; tested
    if most > MOST_ANSWERS:
        return math.inf
    below = np.flatnonzero(exact_power(value, np.arange(1, most + 1), level) < power)
    return float(below[-1] + 2)


def exact_power(value: float, answers: NDArray[np.int64], level: float = LEVEL) -> Floats:
    """Return the chance that (2) leaves out 1/2, by the number of answers."""
    from scipy.stats import binom

    least = binom.isf((1 - level) / 2, answers, _EVEN) + 1  # wins that show the first is preferred
    above = binom.sf(least - 1, answers, value)
    power: Floats = above + binom.cdf(answers - least, answers, value)
    return power


def left_share(lefts: Sequence[bool]) -> tuple[float, float, float]:
    """Return the share of decided answers for the left side, and its exact interval (2)."""
    share = sum(lefts) / len(lefts) if lefts else math.nan
    return share, *clopper_pearson(sum(lefts), len(lefts))
