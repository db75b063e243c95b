# SPDX-License-Identifier: Apache-2.0
"""The study as a small server: the page, its images, and two addresses for answers.

A person is a token behind the `#` of the link, which a browser sends to nobody; the page states it
in each request. A token opens the answers of its person and of nobody else. An answer that was
confirmed is on the disk (`database.py`); one that was not is kept by the page and sent again.
"""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from spade_eval.errors import UserError
from spade_eval.pages.local_server import JSON, Answer, Refused, Request, Route, Routes
from spade_eval.pages.study.answers import Answers, parsed_answer, require_sound
from spade_eval.pages.study.database import Database, StaleError, State
from spade_eval.pages.study.key import HANDOUT, Key
from spade_eval.pages.study.making import IMAGES, PAGE

_LARGEST_BODY = 2**20  # bytes: 5,000 answers at once
JOIN, ANSWER = "/join", "/answer"


class StudyServer:
    """Answers the requests of a study's page; `people` tokens are valid."""

    def __init__(self, folder: Path, key: Key, database: Database, people: int) -> None:
        self._key = key
        self._database = database
        self._folder = folder / HANDOUT
        self._sheets = {
            key.token(person): person % len(key.drawn.sheets) for person in range(people)
        }

    def routes(self, page: str, policy: str) -> Routes:
        """Return all that can be asked; `page` is served as it is, under its own policy."""
        served = Answer(content=page.encode(), policy=policy)
        images = {
            f"/{IMAGES}/{path.name}": _file(path)
            for path in sorted((self._folder / IMAGES).glob("*.png"))
        }
        if not images:
            raise UserError(
                f"{self._folder / IMAGES}: no images are here; restore the folder, or make the "
                "study anew"
            )
        shown: Route = lambda request: served  # noqa: E731
        return Routes(
            get={"/": shown, f"/{PAGE}": shown, **images},
            post={
                JOIN: (self._joined, _LARGEST_BODY),
                ANSWER: (self._answered, _LARGEST_BODY),
            },
        )

    def links(self, address: str) -> list[str]:
        """Return a link for each person."""
        return [f"{address}#{token}" for token in self._sheets]

    def _joined(self, request: Request) -> Answer:
        """{"token"} -> what this person has answered."""
        fields = _fields(request, ("token",))
        token, sheet = self._person(fields)
        return _shown(self._database.state(token, sheet), token)

    def _answered(self, request: Request) -> Answer:
        """{"token", "revision", "first", "answers"} -> {"revision"}; 409: join again."""
        fields = _fields(request, ("token", "revision", "first", "answers"))
        token, sheet = self._person(fields)
        first, revision = fields["first"], fields["revision"]
        if type(first) is not int or type(revision) is not int or first < 0:
            raise Refused(400, "revision and first are whole numbers")
        if not isinstance(fields["answers"], list):
            raise Refused(400, "answers is a list")
        state = self._database.state(token, sheet)
        if first > len(state.answers):
            raise Refused(409, "answers are missing before these; join again")
        try:
            answers = tuple(parsed_answer(item) for item in fields["answers"])
            require_sound(
                Answers(
                    study=self._key.study,
                    person=token,
                    sheet=sheet,
                    answers=(*state.answers[:first], *answers),
                ),
                self._key,
            )
            number = self._database.write(token, sheet, revision, first, answers)
        except StaleError:
            raise Refused(409, "another window has answered meanwhile; join again") from None
        except ValueError as error:
            raise Refused(400, str(error)) from error
        return _json({"revision": number})

    def _person(self, fields: Mapping[str, Any]) -> tuple[str, int]:
        token = fields["token"]
        if not isinstance(token, str) or token not in self._sheets:
            raise Refused(403, "this link is not one of this study; ask for a new one")
        return token, self._sheets[token]


def _fields(request: Request, names: tuple[str, ...]) -> dict[str, Any]:
    fields = request.json()
    if not isinstance(fields, dict) or set(fields) != set(names):
        raise Refused(400, f"expected an object of {', '.join(names)}")
    return fields


def _shown(state: State, token: str) -> Answer:
    return _json(
        {
            "person": token,
            "sheet": state.sheet,
            "revision": state.revision,
            "answers": [vars(answer) for answer in state.answers],
        }
    )


def _json(value: Any) -> Answer:
    return Answer(content=json.dumps(value).encode(), kind=JSON)


def _file(path: Path) -> Route:
    return partial(_read, path)


def _read(path: Path, request: Request) -> Answer:
    return Answer(content=path.read_bytes(), kind="image/png", may_be_kept=True)
