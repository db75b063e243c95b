# SPDX-License-Identifier: Apache-2.0
"""Who answers what on the painting page: each route is a few lines around the session."""

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spade_eval.pages.local_server import JSON, Answer, Request, Routes
from spade_eval.pages.painting import maps
from spade_eval.pages.painting.requests import (
    LARGEST_FILE_REQUEST,
    FileGiven,
    ImageAsked,
    LabelFileAsked,
    asked,
    decoded,
    image_answer,
    largest_image_request,
    map_answer,
)
from spade_eval.pages.painting.session import Session

_PNG = "image/png"


def painting_routes(session: Session, page: str, policy: str) -> Routes:
    """Return the routes of a session; `page` is served as it is, under its own policy."""
    answers = _Answers(session)
    shown = Answer(content=page.encode(), policy=policy)
    largest = largest_image_request(session.dataset.size)
    return Routes(
        get={"/": lambda request: shown, "/map": answers.map, "/photo": answers.photo},
        post={
            "/image": (answers.image, largest),
            "/label-file": (answers.label_file, largest),
            "/map": (answers.opened_map, LARGEST_FILE_REQUEST),
            "/photo": (answers.opened_photo, LARGEST_FILE_REQUEST),
        },
    )


class _Answers:
    def __init__(self, session: Session) -> None:
        self._session = session

    def map(self, request: Request) -> Answer:
        """A map of the dataset, by `name`."""
        painted, place = self._session.opened(request.query.get("name", ""))
        return _json(map_answer(painted, place=place))

    def opened_map(self, request: Request) -> Answer:
        """A label file that was opened or dropped."""
        content = decoded(asked(FileGiven, request).content)
        painted, note = maps.read_label_file(content, self._session.dataset)
        return _json(map_answer(painted, note=note))

    def photo(self, request: Request) -> Answer:
        """A photo whose style is taken, by `name`."""
        return _png(self._session.photo(request.query.get("name", "")))

    def opened_photo(self, request: Request) -> Answer:
        """A photo that was opened or dropped; the answer is the name to ask for."""
        content = decoded(asked(FileGiven, request).content)
        return _json({"name": self._session.hold_photo(content)})

    def image(self, request: Request) -> Answer:
        """The image of a painted map."""
        wanted = asked(ImageAsked, request)
        objects = None if wanted.objects is None else decoded(wanted.objects)
        dataset = self._session.dataset
        painted = maps.of_bytes(decoded(wanted.labels), objects, dataset.size, dataset.label_space)
        made = self._session.painted(wanted.model, painted, wanted.chosen_style())
        return _json(image_answer(made))

    def label_file(self, request: Request) -> Answer:
        """The label file of a painted map."""
        dataset = self._session.dataset
        labels = decoded(asked(LabelFileAsked, request).labels)
        painted = maps.of_bytes(labels, None, dataset.size, dataset.label_space)
        return Answer(content=maps.label_file(painted.labels, dataset), kind=_PNG)


def _json(value: Mapping[str, Any]) -> Answer:
    return Answer(content=json.dumps(value, allow_nan=False).encode(), kind=JSON)


def _png(pixels: NDArray[np.uint8]) -> Answer:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return Answer(content=buffer.getvalue(), kind=_PNG)
