# SPDX-License-Identifier: Apache-2.0
"""Brings the answers of a study together: one file a person below `answers/` of its folder.

Everything is checked before anything is written. Who sends a longer file later has gone on; two
files of one person that disagree are refused, since nobody can say which of them holds.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from spade_eval.errors import UserError
from spade_eval.files import written_whole
from spade_eval.pages.study.answers import Answers, read_answers
from spade_eval.pages.study.database import FILE, Database
from spade_eval.pages.study.key import Key

COLLECTED = "answers"


@dataclass(frozen=True)
class Collected:
    """What a study has of answers now."""

    people: tuple[Answers, ...]
    added: int  # answers that were not there before
    written: tuple[Path, ...]


def collect(folder: Path, key: Key, files: Sequence[Path]) -> Collected:
    """Merge files, and what the study's server has, into `folder`/answers; check all before."""
    known = {answers.person: answers for answers in collected(folder, key)}
    before = _count(known.values())
    sources = [(str(path), read_answers(path, key)) for path in files]
    sources += [(str(folder / FILE), answers) for answers in _served(folder, key)]
    changed: dict[str, Answers] = {}
    for source, answers in sources:
        if not answers.answers:
            continue
        there = known.get(answers.person)
        kept = answers if there is None else _longer(there, answers, source)
        if kept is not there:
            known[answers.person] = changed[answers.person] = kept
    written = tuple(_write(folder, answers) for answers in changed.values())
    people = tuple(known[person] for person in sorted(known))
    return Collected(people, _count(people) - before, written)


def collected(folder: Path, key: Key) -> list[Answers]:
    """Read what was collected, and check it again: also a file in there may have been changed."""
    return [read_answers(path, key) for path in sorted((folder / COLLECTED).glob("*.json"))]


def _served(folder: Path, key: Key) -> Iterable[Answers]:
    if not (folder / FILE).exists():
        return []
    with Database.opened(folder / FILE) as database:
        return database.everything(key)


def _longer(one: Answers, other: Answers, source: str) -> Answers:
    """Return whichever goes on after the other."""
    short, long = sorted((one, other), key=lambda answers: len(answers.answers))
    goes_on = one.sheet == other.sheet and all(
        (a.question, a.code) == (b.question, b.code)
        for a, b in zip(short.answers, long.answers, strict=False)
    )
    if not goes_on:
        raise UserError(
            f"{source}: person {other.person} has answered otherwise in what was collected before; "
            "refused, nothing was merged: keep one of the two files"
        )
    return one if len(one.answers) == len(other.answers) else long


def _write(folder: Path, answers: Answers) -> Path:
    path = folder / COLLECTED / f"{answers.person}.json"
    path.parent.mkdir(exist_ok=True)
    with written_whole(path) as temporary:
        temporary.write_text(answers.as_json(), encoding="utf-8")
    return path


def _count(people: Iterable[Answers]) -> int:
    return sum(len(answers.answers) for answers in people)
