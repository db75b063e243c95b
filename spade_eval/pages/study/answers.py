# SPDX-License-Identifier: Apache-2.0
"""One person's answers as the page writes them, checked against the key of the study."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from spade_eval.errors import UserError
from spade_eval.json_fields import parsed_json, require_types
from spade_eval.pages.study.key import CHOICES, Key
from spade_eval.pages.study.questions import Asked, Question

FORMAT = "spade-eval study answers 1"
LARGEST_FILE = 8 * 2**20  # bytes; 10,000 answers have a tenth of it
_LONGEST = 86_400.0  # seconds of an answer: a day
_PERSON = re.compile(r"[0-9a-z-]{4,40}")
Side = Literal["left", "right", "tie"]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What was pressed at one place of a sheet; places are answered in order."""

    question: str  # its id
    side: Side
    code: str  # of the choice
    seconds: float  # since the images were there, pauses left out


@dataclass(frozen=True, kw_only=True)
class Sender:
    """Who answers what; `person` is drawn by the page, or is the token that the server gave."""

    study: str
    person: str
    sheet: int


@dataclass(frozen=True, kw_only=True)
class Answers(Sender):
    """All that one person has answered."""

    answers: tuple[Answer, ...]

    def as_json(self) -> str:
        return json.dumps({"format": FORMAT, **asdict(self)})


@dataclass(frozen=True)
class Judged:
    """An answer with what the key knows of it."""

    person: str
    sheet: int
    place: int  # on the sheet
    question: Question
    number: int  # of the question, among all
    left: str  # row
    right: str
    chosen: str | None  # row; None for a tie
    side: Side
    seconds: float


def read_answers(path: Path, key: Key) -> Answers:
    """Read a file that a person sent; a `UserError` names the file and what is wrong with it."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError(f"over {LARGEST_FILE:,} bytes")
        answers = parsed_answers(parsed_json(path.read_bytes()))
        require_sound(answers, key)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"{path}: {reason}; refused, nothing was merged: leave the file out, or get it anew"
        ) from error
    return answers


def parsed_answers(fields: Any) -> Answers:
    """Make answers of JSON; `ValueError` for anything that the page does not write."""
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        raise ValueError("not a file of answers that a study's page wrote")
    plain = {name: value for name, value in fields.items() if name != "format"}
    given = plain.pop("answers", None)
    require_types(Sender, plain)
    if set(plain) != {"study", "person", "sheet"} or not isinstance(given, list):
        raise ValueError("expected study, person, sheet and answers")
    if not _PERSON.fullmatch(plain["person"]):
        raise ValueError("the name of the person is none that the page draws")
    return Answers(**plain, answers=tuple(map(parsed_answer, given)))


def parsed_answer(fields: Any) -> Answer:
    """Make one answer of JSON."""
    if not isinstance(fields, dict) or set(fields) != set(Answer.__dataclass_fields__):
        raise ValueError("an answer is not as the page writes it")
    require_types(Answer, fields)
    if not 0 <= fields["seconds"] <= _LONGEST:
        raise ValueError(f"an answer took {fields['seconds']!r} seconds")
    return Answer(**fields)


def require_sound(answers: Answers, key: Key) -> None:
    """Raise `ValueError` for answers to another study, and for those that nobody was offered."""
    if answers.study != key.study:
        raise ValueError(f"answers of another study ({answers.study!r:.40}, this is {key.study})")
    if not 0 <= answers.sheet < len(key.drawn.sheets):
        raise ValueError(f"there is no sheet {answers.sheet}")
    sheet = key.drawn.sheets[answers.sheet]
    if len(answers.answers) > len(sheet):
        raise ValueError(f"{len(answers.answers)} answers to the {len(sheet)} of its sheet")
    for place, (asked, answer) in enumerate(zip(sheet, answers.answers, strict=False), start=1):
        if answer.question != key.question_id(asked.question):
            raise ValueError(f"answer {place} is to another question than its sheet asks there")
        if answer.code != _code_of(answer.side, asked, key):
            raise ValueError(f"answer {place} was changed: its code is not that of {answer.side!r}")


def _code_of(side: Side, asked: Asked, key: Key) -> str | None:
    """Return the code of a side; None where a tie is not offered."""
    choice = "tie" if side == "tie" else CHOICES[asked.swapped == (side == "left")]
    return key.choice_codes(asked.question).get(choice)


def judged(all_answers: Sequence[Answers], key: Key) -> Iterator[Judged]:
    """Yield every answer with its rows, person by person, in the order of the sheets."""
    for answers in all_answers:
        sheet = key.drawn.sheets[answers.sheet]
        for place, (asked, answer) in enumerate(zip(sheet, answers.answers, strict=False)):
            question = key.drawn.questions[asked.question]
            left, right = question.rows[asked.swapped], question.rows[not asked.swapped]
            chosen: Mapping[str, str | None] = {"left": left, "right": right, "tie": None}
            yield Judged(
                person=answers.person,
                sheet=answers.sheet,
                place=place,
                question=question,
                number=asked.question,
                left=left,
                right=right,
                chosen=chosen[answer.side],
                side=answer.side,
                seconds=answer.seconds,
            )
