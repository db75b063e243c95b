# SPDX-License-Identifier: Apache-2.0
"""Small studies: a run folder with pictures, the study made of it, people who answer it."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from spade_eval.pages.study.answers import Answer, Answers
from spade_eval.pages.study.key import CHOICES, Key
from spade_eval.pages.study.making import Made, make_study
from spade_eval.pages.study.questions import Settings, left_row
from spade_eval.records import RecordStore
from spade_eval.reports.html.study_page import study_page

sys.path.insert(0, str(Path(__file__).parent / "reports"))
import synthetic

SIZE = 16
HOSTILE = "<img src=x onerror=window.hacked=1>"
CLASSES = {"sky": (70, 130, 180), HOSTILE: (20, 100, 45), "car": (0, 200, 220)}
ROWS = ("spade", "concat", "pix2pixhd")
STEMS = tuple(f"val_{number:03d}" for number in range(12))
SMALL: dict[str, Any] = {"questions": 6, "each": 2, "per_person": 4, "checks": 1, "repeats": 1}


def write_run(folder: Path, rows: Sequence[str] = ROWS, stems: Sequence[str] = STEMS) -> Path:
    """A run folder with pictures of every row; each picture has a grey of its own, by row."""
    RecordStore(folder / "records.jsonl").append([synthetic.measurement(height=SIZE, width=SIZE)])
    stated = [{"name": name, "color": color} for name, color in CLASSES.items()]
    (folder / "classes.json").write_text(json.dumps(stated))
    numbers = np.random.default_rng(0)
    for place, row in enumerate(("label map", "real", *rows)):
        (folder / "images" / row).mkdir(parents=True)
        for stem in stems:
            if row == "label map":
                labels = numbers.integers(0, 2, (SIZE, SIZE))  # no car
                pixels = np.array(list(CLASSES.values()), np.uint8)[labels]
            else:
                pixels = np.full((SIZE, SIZE, 3), 40 * place, np.uint8)
                pixels[: int(stem[-3:]) + 1] += 20
            told = PngInfo()
            told.add_text("row", row)  # which must not get through
            Image.fromarray(pixels).save(folder / "images" / row / f"{stem}.png", pnginfo=told)
    return folder


def make(folder: Path, rows: Sequence[str] = ROWS, **settings: Any) -> Made:
    """A study of a run that is written beside it."""
    run = folder / "run"
    if not run.exists():
        write_run(run, rows)
    asked = Settings(rows=tuple(rows), **{**SMALL, **settings})
    return make_study(run, folder / f"study{asked.seed}", asked, CLASSES, study_page)


def answered(
    key: Key,
    sheet: int,
    person: str = "0123456789abcdef",
    prefers: Callable[[str, str], str] = max,
    count: int | None = None,
) -> Answers:
    """Answers of a person who prefers one of (left row, right row), or is undecided: "tie"."""
    answers = []
    for asked in key.drawn.sheets[sheet][:count]:
        question = key.drawn.questions[asked.question]
        left = left_row(question, asked)
        right = next(row for row in question.rows if row != left)
        chosen = prefers(left, right)
        side = {left: "left", right: "right", "tie": "tie"}[chosen]
        choice = "tie" if chosen == "tie" else CHOICES[question.rows.index(chosen)]
        answers.append(
            Answer(
                question=key.question_id(asked.question),
                side=side,  # type: ignore[arg-type]
                code=key.choice_codes(asked.question).get(choice, "0" * 16),
                seconds=1.5,
            )
        )
    return Answers(study=key.study, person=person, sheet=sheet, answers=tuple(answers))


def better(left: str, right: str) -> str:
    """Prefers photos to all, then rows in their order, noise to nothing."""
    order = ("real", *ROWS, "noise")
    return min((left, right), key=order.index)
