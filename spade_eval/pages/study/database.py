# SPDX-License-Identifier: Apache-2.0
"""The answers of a study that is served: an SQLite file, which a kill at any moment leaves whole.

The log is written ahead (WAL) and is on the disk before an answer is confirmed (`synchronous` FULL,
so a loss of power loses nothing that was confirmed either). A person has one row, whose revision
counts changes: who writes says which revision he has seen, so that of two windows of one person
none writes over what the other has added.
"""

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from spade_eval.errors import UserError
from spade_eval.json_fields import parsed_json
from spade_eval.pages.study.answers import Answer, Answers, parsed_answer, require_sound
from spade_eval.pages.study.key import Key

FILE = "answers.sqlite"
_WAIT = 30.0  # seconds for another process's transaction
_TABLES = """
CREATE TABLE IF NOT EXISTS people (
    person TEXT PRIMARY KEY, sheet INTEGER NOT NULL, revision INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS answers (
    person TEXT NOT NULL REFERENCES people, place INTEGER NOT NULL, answer TEXT NOT NULL,
    PRIMARY KEY (person, place)) WITHOUT ROWID;
"""


class StaleError(Exception):
    """Somebody else has written meanwhile."""


@dataclass(frozen=True)
class State:
    """What is kept of one person."""

    sheet: int
    revision: int
    answers: tuple[Answer, ...]


class Database:
    """One file of answers; threads take turns, processes wait for each other."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._turn = threading.Lock()

    @classmethod
    @contextmanager
    def opened(cls, path: Path) -> Iterator["Database"]:
        """Open a file, or begin it; what is no such file is a `UserError`."""
        try:
            connection = sqlite3.connect(
                path, timeout=_WAIT, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(_TABLES)
        except sqlite3.Error as error:
            raise UserError(
                f"{path}: no file of answers can be kept there ({error}); move it away if it is "
                "something else, or free space"
            ) from error
        try:
            yield cls(connection)
        finally:
            connection.close()

    def state(self, person: str, sheet: int) -> State:
        """Return what a person has answered; nothing yet of somebody who is new."""
        with self._turn:
            return self._state(person) or State(sheet, 0, ())

    def write(
        self, person: str, sheet: int, revision: int, first: int, answers: Sequence[Answer]
    ) -> int:
        """Keep answers from place `first` on, instead of those there; return the new revision.

        `StaleError` where `revision` is not the last, or answers would be left out before `first`.
        """
        with self._turn, self._transaction():
            state = self._state(person) or State(sheet, 0, ())
            if state.revision != revision or first > len(state.answers):
                raise StaleError
            self._connection.execute(
                "INSERT INTO people VALUES (?, ?, 1) "
                "ON CONFLICT (person) DO UPDATE SET revision = revision + 1",
                (person, sheet),
            )
            self._connection.execute(
                "DELETE FROM answers WHERE person = ? AND place >= ?", (person, first)
            )
            self._connection.executemany(
                "INSERT INTO answers VALUES (?, ?, ?)",
                [(person, place, json.dumps(asdict(answer)))
                 for place, answer in enumerate(answers, start=first)],
            )  # fmt: skip
            return revision + 1

    def everything(self, key: Key) -> list[Answers]:
        """Return all people's answers, checked as those of files are."""
        with self._turn:
            people = self._connection.execute("SELECT person FROM people ORDER BY person")
            states = {person: self._state(person) for (person,) in people.fetchall()}
        found = []
        for person, state in states.items():
            assert state is not None
            answers = Answers(
                study=key.study, person=person, sheet=state.sheet, answers=state.answers
            )
            try:
                require_sound(answers, key)
            except ValueError as error:
                raise UserError(
                    f"{FILE}: person {person}: {error}; refused, nothing was merged: it is the "
                    "file of another study, or was changed"
                ) from error
            found.append(answers)
        return found

    def _state(self, person: str) -> State | None:
        row = self._connection.execute(
            "SELECT sheet, revision FROM people WHERE person = ?", (person,)
        ).fetchone()
        if row is None:
            return None
        texts = self._connection.execute(
            "SELECT answer FROM answers WHERE person = ? ORDER BY place", (person,)
        )
        sheet, revision = row
        return State(sheet, revision, tuple(parsed_answer(parsed_json(text)) for (text,) in texts))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
