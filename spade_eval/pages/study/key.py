# SPDX-License-Identifier: Apache-2.0
"""The key of a study, which stays with who asks: what each question is, and a secret.

People get a page without names of rows. Behind each choice of a question stands a code there,

    code = HMAC-SHA256(secret, "answer", question, first | second | tie), its first 64 bits,

and an answer is a code. So an answer to another study, or one that was changed by hand, is known
as such: nobody can make the code of a choice that was not offered. (Who reads the page's source can
give other answers than those pressed, which pressing others does as well.)
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from spade_eval.errors import UserError
from spade_eval.files import written_whole
from spade_eval.json_fields import parsed_json, require_types
from spade_eval.pages.study.questions import Asked, Drawn, Question, Settings, Sheet

KEY, HANDOUT = "key.json", "handout"
"""In the folder of a study: what stays, and the folder that is handed out."""
CHOICES = ("first", "second", "tie")
_FORMAT = "spade-eval study key 1"


@dataclass(frozen=True, kw_only=True)
class Data:
    """Which images are asked about; `classes` are names and colours of the label maps."""

    run: str
    dataset: str
    split: str
    height: int
    width: int


@dataclass(frozen=True, kw_only=True)
class Key:
    """Everything of a study but its images."""

    secret: str
    settings: Settings
    data: Data
    drawn: Drawn
    images_sha256: str  # of all image files that are handed out

    @cached_property
    def study(self) -> str:
        """Name of the study, which says nothing about it."""
        return self.code("study", self.images_sha256, json.dumps(_plain(self.drawn)))

    def code(self, *what: str) -> str:
        """Return 64 bits that nobody can make without the secret."""
        text = "\0".join(what).encode()
        return hmac.new(bytes.fromhex(self.secret), text, hashlib.sha256).hexdigest()[:16]

    def question_id(self, place: int) -> str:
        return self.code("question", str(place))

    def choice_codes(self, place: int) -> dict[str, str]:
        """{"first": code, ...} of the choices that a question offers."""
        offered = CHOICES if self.settings.ties else CHOICES[:2]
        return {choice: self.code("answer", str(place), choice) for choice in offered}

    def file_name(self, place: int, part: str) -> str:
        """Name of an image file: `part` is "map", "first" or "second"."""
        return f"{self.code('file', str(place), part)}.png"

    def token(self, person: int) -> str:
        """Return what lets a person in at the server."""
        return self.code("person", str(person))

    def page(self, classes: Mapping[str, Any], labels: Mapping[str, list[int]]) -> dict[str, Any]:
        """Return what the page's script reads: no row, no name of an image, no kind of a question.

        `classes` are the colours by name, `labels` the classes of each image.
        """
        questions = self.drawn.questions
        return {
            "study": self.study,
            "ties": self.settings.ties,
            "seconds": self.settings.seconds,
            "ratio": f"{self.data.width} / {self.data.height}",
            "classes": [[name, color] for name, color in classes.items()],
            "questions": [
                {
                    "id": self.question_id(place),
                    "map": self.file_name(place, "map"),
                    "images": [self.file_name(place, "first"), self.file_name(place, "second")],
                    "codes": list(self.choice_codes(place).values()),
                    "labels": labels[question.image],
                }
                for place, question in enumerate(questions)
            ],
            "sheets": [
                [[asked.question, int(asked.swapped)] for asked in sheet]
                for sheet in self.drawn.sheets
            ],
        }

    def save(self, folder: Path) -> Path:
        """Write the key into the folder of the study, for its owner alone to read."""
        path = folder / KEY
        fields = {**asdict(self), "drawn": _plain(self.drawn)}
        with written_whole(path) as temporary:
            temporary.touch(mode=0o600)
            temporary.write_text(json.dumps({"format": _FORMAT, **fields}), encoding="utf-8")
        return path


def new_secret() -> str:
    """Return 128 bits."""
    return secrets.token_hex(16)


def open_key(folder: Path) -> Key:
    """Read the key of a study; a `UserError` where there is none, or a damaged one."""
    path = folder / KEY
    try:
        fields = parsed_json(path.read_bytes())
    except FileNotFoundError as error:
        raise UserError(
            f"{folder}: no study is here ({KEY} is missing); give the folder that "
            "`spade-eval study make` wrote"
        ) from error
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error
    try:
        if not isinstance(fields, dict) or fields.pop("format", None) != _FORMAT:
            raise ValueError(f"its format is not {_FORMAT!r}")
        return _key(fields)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> UserError:
    reason = getattr(error, "strerror", None) or error
    return UserError(f"{path}: the key of a study cannot be read ({reason}); restore the file")


def _key(fields: dict[str, Any]) -> Key:
    settings = _filled(Settings, fields["settings"], tuples=("rows",))
    questions = tuple(
        _filled(Question, item, tuples=("rows",)) for item in fields["drawn"]["questions"]
    )
    sheets = tuple(_sheet(sheet, len(questions)) for sheet in fields["drawn"]["sheets"])
    for name in ("secret", "images_sha256"):
        bytes.fromhex(fields[name])
    return Key(
        secret=fields["secret"],
        settings=settings,
        data=_filled(Data, fields["data"]),
        drawn=Drawn(questions, sheets),
        images_sha256=fields["images_sha256"],
    )


def _filled(kind: Any, fields: dict[str, Any], tuples: tuple[str, ...] = ()) -> Any:
    require_types(kind, fields)
    return kind(**{n: tuple(value) if n in tuples else value for n, value in fields.items()})


def _sheet(pairs: list[list[int]], num_questions: int) -> Sheet:
    sheet = tuple(Asked(int(question), bool(swapped)) for question, swapped in pairs)
    if any(not 0 <= asked.question < num_questions for asked in sheet):
        raise ValueError("a sheet asks what is no question")
    return sheet


def _plain(drawn: Drawn) -> dict[str, Any]:
    return {
        "questions": [asdict(question) for question in drawn.questions],
        "sheets": [[[asked.question, int(asked.swapped)] for asked in sheet]
                   for sheet in drawn.sheets],
    }  # fmt: skip
