# SPDX-License-Identifier: Apache-2.0
"""The questions of a study, drawn from a seed: which pairs, which images, who is asked what.

Every pair of rows is asked about the same images. Each question is asked `each` times, by as many
people: round by round the questions are shuffled and cut into sheets, one a person. Sides are
drawn anew for each sheet, so that a liking for the left side favours no row. A sheet further has

- checks: the real photo against noise, which says whether somebody looks at all;
- repeats: questions of this sheet again, sides exchanged, which say how sure somebody is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from spade_eval.errors import UserError

Kind = Literal["pair", "check", "repeat"]
PHOTO, NOISE = "real", "noise"
"""Rows of a check: the run's folder of real photos, and noise that is made."""
_FEWEST_BETWEEN = 3  # places between a question and its repeat; a short sheet has fewer repeats


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is asked for."""

    rows: tuple[str, ...]
    questions: int = 500  # of a pair
    each: int = 5  # answers about each question
    per_person: int = 100  # questions of a sheet, checks and repeats not counted
    checks: int = 3  # of a sheet
    repeats: int = 3  # of a sheet
    ties: bool = False
    seconds: float | None = None  # that the images are shown; None: until the answer
    seed: int = 0

    def require(self, kept: int) -> None:
        """Raise a `UserError` for what cannot be asked, with `kept` images of every row."""
        if len(self.rows) < 2 or len(set(self.rows)) < len(self.rows):
            raise UserError(
                f"--rows {','.join(self.rows)}: expected two different rows or more, for example "
                "--rows spade,concat"
            )
        if self.questions > kept:
            raise UserError(
                f"--questions {self.questions}: {kept} images of all of {', '.join(self.rows)} are "
                f"kept; give --questions {kept} or less, or score again with --save-images all"
            )
        most = max(0, self.per_person - _FEWEST_BETWEEN)
        if self.repeats > most:
            raise UserError(
                f"--repeats {self.repeats}: of {self.per_person} questions of --per-person at most "
                f"{most} can come again later; give --repeats {most} or less"
            )


@dataclass(frozen=True, kw_only=True)
class Question:
    """Two images beside one label map; which row is first says nothing, and is drawn."""

    kind: Kind
    image: str  # its name in the run
    rows: tuple[str, str]


@dataclass(frozen=True)
class Asked:
    """A question on a sheet: its place among all, and whether its second row stands left."""

    question: int
    swapped: bool


Sheet = tuple[Asked, ...]


@dataclass(frozen=True)
class Drawn:
    """All questions, and the sheets that ask them."""

    questions: tuple[Question, ...]
    sheets: tuple[Sheet, ...]


def drawn(settings: Settings, names: Sequence[str]) -> Drawn:
    """Draw a study from its seed; `names` are the images that every row has."""
    numbers = np.random.default_rng(settings.seed)
    images = [str(name) for name in numbers.permutation(names)]
    asked = images[: settings.questions]
    pairs = [
        _question("pair", image, pair, numbers)
        for pair in combinations(settings.rows, 2)
        for image in asked
    ]
    checks = [
        _question("check", images[place % len(images)], (PHOTO, NOISE), numbers)
        for place in range(settings.checks)
    ]
    questions = [*pairs, *checks]
    sheets = []
    for _ in range(settings.each):
        order = numbers.permutation(len(pairs))
        for first in range(0, len(order), settings.per_person):
            part = order[first : first + settings.per_person].tolist()
            sheets.append(_sheet(part, len(pairs), settings, questions, numbers))
    return Drawn(tuple(questions), tuple(sheets))


def _question(
    kind: Kind, image: str, rows: tuple[str, str], numbers: np.random.Generator
) -> Question:
    first, second = rows if numbers.random() < 0.5 else rows[::-1]
    return Question(kind=kind, image=image, rows=(first, second))


def _sheet(
    part: Sequence[int],
    num_pairs: int,
    settings: Settings,
    questions: list[Question],
    numbers: np.random.Generator,
) -> Sheet:
    """Put checks and repeats between the questions of a sheet; repeats are added to `questions`."""
    sheet = [Asked(place, bool(numbers.random() < 0.5)) for place in part]
    for place in range(num_pairs, num_pairs + settings.checks):
        at = int(numbers.integers(len(sheet) + 1))
        sheet.insert(at, Asked(place, bool(numbers.random() < 0.5)))
    early = [
        item
        for at, item in enumerate(sheet)
        if item.question < num_pairs and at + 1 + _FEWEST_BETWEEN <= len(sheet)
    ]
    for place in numbers.permutation(len(early))[: settings.repeats].tolist():
        first = early[place]
        at = int(numbers.integers(sheet.index(first) + 1 + _FEWEST_BETWEEN, len(sheet) + 1))
        sheet.insert(at, _repeated(first, questions, numbers))
    return tuple(sheet)


def _repeated(first: Asked, questions: list[Question], numbers: np.random.Generator) -> Asked:
    """Ask a question again as a new one, whose sides are those of the first exchanged."""
    origin = questions[first.question]
    questions.append(_question("repeat", origin.image, origin.rows, numbers))
    same_order = questions[-1].rows == origin.rows
    return Asked(len(questions) - 1, first.swapped != same_order)


def left_row(question: Question, asked: Asked) -> str:
    """Return the row that stands left."""
    return question.rows[asked.swapped]
