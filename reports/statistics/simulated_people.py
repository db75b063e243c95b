# SPDX-License-Identifier: Apache-2.0
"""People whose preferences are known, and whether the intervals of a study hold them.

Person j prefers the first of two rows on image i with the chance

    s(mean + image_sd z_i + person_sd z_j + left or -left),   s(x) = 1 / (1 + exp(-x))        (11)

with z normal, the sign by the side on which the first row stands, or, with chance `lapses`,
tosses a coin. Each question is drawn, asked and counted as a study does it.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from spade_eval.reports.statistics.agreement import alpha_with_interval
from spade_eval.reports.statistics.bootstrap import Floats, draw_counts, drawn_images
from spade_eval.reports.statistics.preferences import (
    Votes,
    clopper_pearson,
    clustered_interval,
    crossed_interval,
)

_NODES = 80  # of Gauss and Hermite: 12 digits of a logistic curve over a normal law


@dataclass(frozen=True, kw_only=True)
class People:
    """A study's size and those who answer it."""

    images: int
    each: int  # answers about each image
    per_person: int = 100  # answers of one person
    mean: float = 0.5  # of (11)
    image_sd: float = 0.0
    person_sd: float = 0.0
    left: float = 0.0
    lapses: float = 0.0

    @property
    def preference(self) -> float:
        """The chance that a person drawn at random prefers the first row on an image so drawn."""
        return self._mean_of(math.hypot(self.image_sd, self.person_sd), lambda chance: chance)

    @property
    def alpha(self) -> float:
        """Krippendorff's alpha of infinitely many such answers: var_i(p_i) / (p (1 - p)).

        By (6) to (8) with D_o = 2 E p_i (1 - p_i) and D_e = 2 p (1 - p); of people without
        preferences of their own.
        """
        p = self.preference
        square = self._mean_of(self.image_sd, lambda chance: chance**2)
        return (square - p**2) / (p * (1 - p))

    def _mean_of(self, deviation: float, of: Callable[[Floats], Floats]) -> float:
        nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
        logits = self.mean + deviation * nodes
        chances = (_chance(logits + self.left) + _chance(logits - self.left)) / 2
        chances = (1 - self.lapses) * chances + self.lapses / 2
        return float((weights * of(chances)).sum() / weights.sum())

    def answered(self, numbers: np.random.Generator) -> Votes:
        """Draw images and people, and ask each question."""
        asked = np.tile(numbers.permutation(self.images), self.each)
        people = np.arange(len(asked)) // self.per_person
        logits = self.mean + self.image_sd * numbers.standard_normal(self.images)[asked]
        logits += self.person_sd * numbers.standard_normal(people[-1] + 1)[people]
        logits += self.left * numbers.choice([-1, 1], len(asked))
        chances = np.where(numbers.random(len(asked)) < self.lapses, 0.5, _chance(logits))
        choices = np.where(numbers.random(len(asked)) < chances, 1, -1)
        return Votes(asked, people, choices)


@dataclass(frozen=True)
class Held:
    """How often 95% intervals of one kind of study held the truth."""

    people: People
    bias: float  # of the preference
    coverage: dict[str, float]  # by interval: exact, clustered, crossed, alpha
    width: dict[str, float]  # mean
    verdicts: dict[str, float]  # share that leaves out 1/2


KINDS = ("exact", "clustered", "crossed")
"""Intervals of a preference: (2), (3) and (4)."""


def validate_people(
    people: People, replications: int, seed: int = 0, progress: Callable[[], None] = lambda: None
) -> Held:
    """Ask a study many times and count."""
    draws = list(_draws(people, replications, seed, progress))
    ends = {kind: np.array([draw[kind] for draw in draws]) for kind in draws[0]}
    value = ends.pop("value")
    truths = dict.fromkeys(KINDS, people.preference) | {"alpha": people.alpha}
    return Held(
        people=people,
        bias=float(value.mean() - people.preference),
        coverage={kind: _coverage(ends[kind], truth) for kind, truth in truths.items()},
        width={kind: float(np.diff(ends[kind]).mean()) for kind in truths},
        verdicts={kind: 1 - _coverage(ends[kind], 0.5) for kind in KINDS},
    )


def _draws(
    people: People, replications: int, seed: int, progress: Callable[[], None]
) -> Iterator[dict[str, tuple[float, ...]]]:
    for number in range(replications):
        numbers = np.random.default_rng([seed, number])
        votes = people.answered(numbers)
        times = draw_counts(drawn_images(people.images, seed=int(numbers.integers(2**31))))
        counts = votes.by_image(people.images)
        yield {
            "value": (votes.wins / votes.decided,),
            "exact": clopper_pearson(votes.wins, votes.decided),
            "clustered": clustered_interval(counts[:, 0], counts[:, 0] + counts[:, 1], times),
            "crossed": crossed_interval(votes),
            "alpha": alpha_with_interval(counts, times)[1:],
        }
        progress()


def _coverage(ends: Floats, truth: float) -> float:
    return float(((ends[:, 0] <= truth) & (truth <= ends[:, 1])).mean())


def _chance(logits: Floats) -> Floats:
    chances: Floats = 1 / (1 + np.exp(-logits))
    return chances
