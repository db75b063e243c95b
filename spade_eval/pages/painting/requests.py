# SPDX-License-Identifier: Apache-2.0
"""Requests of the painting page in JSON, checked before anything is done, and their answers."""

import base64
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from spade_eval.errors import UserError, as_user_error
from spade_eval.json_fields import require_types
from spade_eval.models.labels import Size
from spade_eval.models.limits import MOST_UPLOAD_BYTES
from spade_eval.pages.local_server import Request
from spade_eval.pages.painting.maps import PaintedMap
from spade_eval.pages.painting.session import PaintedImage
from spade_eval.pages.painting.styles import AskedStyle

Asked = TypeVar("Asked")

_LARGEST_NUMBER = 2**31 - 1  # of a drawn style
_FIELD_BYTES = 4096  # of a request besides its maps


@dataclass(frozen=True, kw_only=True)
class ImageAsked:
    """The image of a painted map by one model."""

    model: int  # place among the models
    labels: str  # 8 bits a pixel by rows, in base64
    objects: str | None  # 16 bits a pixel, little end first
    style: int
    turn: float  # degrees
    photo: str | None

    def chosen_style(self) -> AskedStyle:
        """Return the style; `UserError` for a number that nothing is drawn by."""
        if not 0 <= self.style <= _LARGEST_NUMBER or not -360 <= self.turn <= 360:
            raise UserError(
                f"style {self.style} turned by {self.turn:g} degrees: expected "
                f"0..{_LARGEST_NUMBER} and -360..360; move the slider again"
            )
        return AskedStyle(self.style, self.turn, self.photo)


@dataclass(frozen=True, kw_only=True)
class LabelFileAsked:
    """The label file of a painted map."""

    labels: str


@dataclass(frozen=True, kw_only=True)
class FileGiven:
    """A label map or a photo that was opened or dropped."""

    content: str  # its bytes, in base64


def asked(kind: type[Asked], request: Request) -> Asked:
    """Read a request; `UserError` of one line for anything that is none."""
    fields = request.json()
    with as_user_error("this request"):
        if not isinstance(fields, dict):
            raise ValueError("it is no JSON object")
        require_types(kind, fields)
        missing = {field.name for field in dataclasses.fields(kind)} - {*fields}  # type: ignore[arg-type]
        if missing:
            raise ValueError(f"it lacks the field {min(missing)}")
        return kind(**fields)


def decoded(text: str) -> bytes:
    """Read base64; `UserError` for any other text."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise UserError(f"this request: its bytes are no base64 ({error})") from error


def largest_image_request(size: Size) -> int:
    """Return the bytes that the request of an image may have: two layers, 24 bits a pixel."""
    return _FIELD_BYTES + 4 * (size[0] * size[1] + 2)


LARGEST_FILE_REQUEST = _FIELD_BYTES + 4 * (MOST_UPLOAD_BYTES // 3 + 1)


def map_answer(painted: PaintedMap, **more: Any) -> Mapping[str, Any]:
    """Return both layers as the page reads them."""
    objects = painted.objects.astype("<u2")
    return {"labels": _encoded(painted.labels), "objects": _encoded(objects), **more}


def image_answer(made: PaintedImage) -> Mapping[str, Any]:
    """Return an image as the page draws it: three bytes a pixel by rows, and how it is read."""
    reading = made.reading
    return {
        "pixels": _encoded(made.pixels),
        "milliseconds": 1000 * made.seconds,
        "cpuMilliseconds": 1000 * made.cpu_seconds,
        "reading": None if reading is None else {
            "labels": _encoded(reading.labels),
            "iou": reading.iou,
            "miou": reading.miou,
            "accuracy": reading.accuracy,
        },
    }  # fmt: skip


def _encoded(array: Any) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
