# SPDX-License-Identifier: Apache-2.0
"""The answers of a study as arrays: votes about each pair of rows, and what is known of people.

Who takes noise for a photo does not look: a person with fewer than three checks in four right is
left out, which is stated with what the table would be otherwise. Checks and repeats are no votes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from statistics import median

import numpy as np

from spade_eval.pages.study.answers import Answers, Judged, judged
from spade_eval.pages.study.key import Key
from spade_eval.pages.study.questions import PHOTO
from spade_eval.reports.statistics.bootstrap import Floats
from spade_eval.reports.statistics.preferences import Votes

FEWEST_RIGHT = 0.75
Pair = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Person:
    """One person, under a number: names are drawn, or are links that let somebody in."""

    name: str
    sheet: int
    answers: int
    of: int  # questions of the sheet
    checks: tuple[int, int]  # right, of how many
    repeats: tuple[int, int]  # equal, of how many
    left: float  # share of decided answers
    seconds: float  # median of an answer

    @property
    def counts(self) -> bool:
        """Whether this person's answers do."""
        right, asked = self.checks
        return not asked or right / asked >= FEWEST_RIGHT


@dataclass(frozen=True)
class StudyAnswers:
    """All answers of a study."""

    key: Key
    answers: tuple[Judged, ...]
    people: tuple[Person, ...]

    @classmethod
    def of(cls, key: Key, everybody: Sequence[Answers]) -> "StudyAnswers":
        """Judge everybody's answers."""
        answers = tuple(judged(everybody, key))
        people = tuple(
            _person(key, person, [item for item in answers if item.person == person.person])
            for person in everybody
        )
        return cls(key, answers, people)

    @cached_property
    def images(self) -> list[str]:
        """Images that pairs are asked about; places in it are those of `Votes`."""
        asked = (question.image for question in self.key.drawn.questions if question.kind == "pair")
        return list(dict.fromkeys(asked))

    @property
    def pairs(self) -> list[Pair]:
        return list(combinations(self.key.settings.rows, 2))

    @cached_property
    def counted(self) -> list[Judged]:
        """Answers about pairs, of people who count."""
        names = {person.name for person in self.people if person.counts}
        return [a for a in self.answers if a.question.kind == "pair" and a.person in names]

    def votes(self, pair: Pair, *, of_all: bool = False) -> Votes:
        """Return the answers about a pair; `of_all` people, also of those who are left out."""
        given = self.answers if of_all else self.counted
        chosen = [
            item
            for item in given
            if item.question.kind == "pair" and set(item.question.rows) == set(pair)
        ]
        image_of = {name: place for place, name in enumerate(self.images)}
        person_of = {person.name: place for place, person in enumerate(self.people)}
        value_of = {pair[0]: 1, None: 0, pair[1]: -1}
        return Votes(
            np.array([image_of[item.question.image] for item in chosen], dtype=np.int64),
            np.array([person_of[item.person] for item in chosen], dtype=np.int64),
            np.array([value_of[item.chosen] for item in chosen], dtype=np.int64),
        )

    def wins_by_image(self) -> Floats:
        """Count (images, K, K): decided answers about an image that prefer row i to row j."""
        rows = self.key.settings.rows
        wins = np.zeros((len(self.images), len(rows), len(rows)))
        for pair in self.pairs:
            i, j = (rows.index(row) for row in pair)
            counts = self.votes(pair).by_image(len(self.images))
            wins[:, i, j], wins[:, j, i] = counts[:, 0], counts[:, 1]
        return wins


def _person(key: Key, person: Answers, answers: Sequence[Judged]) -> Person:
    checks = [item.chosen == PHOTO for item in answers if item.question.kind == "check"]
    repeats = list(_repeats(answers))
    decided = [item.side == "left" for item in answers if item.side != "tie"]
    return Person(
        name=person.person,
        sheet=person.sheet,
        answers=len(answers),
        of=len(key.drawn.sheets[person.sheet]),
        checks=(sum(checks), len(checks)),
        repeats=(sum(repeats), len(repeats)),
        left=sum(decided) / len(decided) if decided else math.nan,
        seconds=median(item.seconds for item in answers) if answers else math.nan,
    )


def _repeats(answers: Sequence[Judged]) -> list[bool]:
    """Whether each repeat was answered as the first time."""
    first = {
        (item.question.image, frozenset(item.question.rows)): item.chosen
        for item in answers
        if item.question.kind == "pair"
    }
    again = [item for item in answers if item.question.kind == "repeat"]
    return [
        first[key] == item.chosen
        for item in again
        if (key := (item.question.image, frozenset(item.question.rows))) in first
    ]
