# SPDX-License-Identifier: Apache-2.0
"""Writes the folder of a study: `key.json` and `page.json` stay, `handout/` is for people.

Images are encoded again from their pixels, under names that say nothing, without metadata and with
one date, a file of its own for each side of each question: neither names, dates nor the order in a
folder tell which images come from one row.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spade_eval.datasets.files import read_photo
from spade_eval.errors import UserError
from spade_eval.files import written_whole
from spade_eval.json_fields import parsed_json
from spade_eval.pages.study.key import HANDOUT, KEY, Data, Key, new_secret
from spade_eval.pages.study.questions import NOISE, PHOTO, Question, Settings, drawn
from spade_eval.records import RecordStore

LABEL_MAP = "label map"  # the run's folder of coloured label maps
PAGE, IMAGES = "index.html", "images"
"""In the folder that is handed out."""
_SHOWN = "page.json"  # in the study's folder: what the page's script reads
_DATE = 946_684_800  # of every image: 1 January 2000
Pixels = NDArray[np.uint8]
Classes = Mapping[str, tuple[int, int, int]]
Render = Callable[[dict[str, Any]], str]


@dataclass(frozen=True)
class Made:
    """A study that was written."""

    key: Key
    folder: Path

    @property
    def page(self) -> Path:
        return self.folder / HANDOUT / PAGE

    @property
    def key_file(self) -> Path:
        return self.folder / KEY


def make_study(
    run: Path,
    folder: Path,
    settings: Settings,
    classes: Classes,
    render: Render,
    progress: Callable[[], None] = lambda: None,
) -> Made:
    """Draw a study from a run's images and write it; `render` makes the page from its data.

    Everything that can be refused is refused before anything is written.
    """
    _require_new(folder)
    images = RunImages(run, settings)
    settings.require(len(images.names))
    data = _data_of(run, images)
    questions = drawn(settings, images.names)
    key = Key(secret=new_secret(), settings=settings, data=data, drawn=questions, images_sha256="")
    parts = folder / HANDOUT / IMAGES
    try:
        parts.mkdir(parents=True)
        digest = _write_images(key, images, parts, progress)
        key = replace(key, images_sha256=digest)
        labels = {name: classes_in(images.read(LABEL_MAP, name), classes) for name in
                  {question.image for question in questions.questions}}  # fmt: skip
        shown = key.page(classes, labels)
        _write_text(parts.parent / PAGE, render(shown))
        _write_text(folder / _SHOWN, json.dumps(shown))
        key.save(folder)
    except BaseException:
        shutil.rmtree(folder / HANDOUT, ignore_errors=True)
        raise
    return Made(key, folder)


def page_data(folder: Path) -> dict[str, Any]:
    """Return what the script of a study's page reads."""
    path = folder / _SHOWN
    try:
        data: dict[str, Any] = parsed_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}); restore the "
            "file, or make the study anew"
        ) from error
    return data


def _write_text(path: Path, text: str) -> None:
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


class RunImages:
    """The pictures of a run: of its rows, its label maps and its photos."""

    def __init__(self, run: Path, settings: Settings) -> None:
        self.folder = run / "images"
        needed = [*settings.rows, LABEL_MAP, *([PHOTO] if settings.checks else [])]
        kept = [self._stems(row) for row in needed]
        self.names = sorted(set.intersection(*kept))

    def _stems(self, row: str) -> set[str]:
        folder = self.folder / row
        known = sorted(path.name for path in self.folder.glob("*") if path.is_dir())
        stems = {path.stem for path in folder.glob("*.png")} if row in known else set()
        if not stems:
            have = ", ".join(name for name in known if name != LABEL_MAP)
            raise UserError(
                f"{folder}: no images of {row!r} are kept; expected rows among {have or 'none'}; "
                "score with --save-images all, or give another run folder"
            )
        return stems

    def read(self, row: str, name: str) -> Pixels:
        """Read (H, W, 3) RGB."""
        return read_photo(self.folder / row / f"{name}.png")


def _write_images(key: Key, images: RunImages, folder: Path, progress: Callable[[], None]) -> str:
    """Write three files a question; return the SHA-256 of all, in the order of the questions."""
    digest = hashlib.sha256()
    for place, question in enumerate(key.drawn.questions):
        for part, pixels in _pictures(question, images, key.settings.seed + place):
            path = folder / key.file_name(place, part)
            Image.fromarray(pixels).save(path, format="PNG")
            os.utime(path, (_DATE, _DATE))
            digest.update(path.read_bytes())
        progress()
    return digest.hexdigest()


def _pictures(question: Question, images: RunImages, seed: int) -> Iterator[tuple[str, Pixels]]:
    label_map = images.read(LABEL_MAP, question.image)
    yield "map", label_map
    for part, row in zip(("first", "second"), question.rows, strict=True):
        if question.kind == "check" and row == NOISE:
            numbers = np.random.default_rng(seed)
            yield part, numbers.integers(0, 256, label_map.shape, dtype=np.uint8)
        else:
            yield part, images.read(row, question.image)


def classes_in(label_map: Pixels, classes: Classes) -> list[int]:
    """Return the places of the classes whose colours occur, in the order of their areas."""
    colors, counts = np.unique(label_map.reshape(-1, 3), axis=0, return_counts=True)
    place_of = {tuple(color): place for place, color in enumerate(classes.values())}
    found = [tuple(int(part) for part in colors[at]) for at in np.argsort(-counts, kind="stable")]
    return [place_of[color] for color in found if color in place_of]


def _data_of(run: Path, images: RunImages) -> Data:
    first = next(iter(RecordStore(run / "records.jsonl")), None)
    if first is None:
        raise UserError(f"{run}: holds no records, expected a run folder; give another")
    height, width = images.read(LABEL_MAP, images.names[0]).shape[:2] if images.names else (0, 0)
    return Data(
        run=run.resolve().name,
        dataset=first.dataset,
        split=first.split,
        height=height,
        width=width,
    )


def _require_new(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        what = "an earlier study" if (folder / KEY).exists() else "other files"
        raise UserError(f"--out {folder}: holds {what}; nothing is written over, name a new folder")
