# SPDX-License-Identifier: Apache-2.0
"""Palettes in which pretrained systems see label maps; a row of the CSV beside is a palette.

A system that was trained on coloured maps knows a class by its colour alone, and not every palette
gives each class its own: ADE20K's paints roads and skyscrapers alike (isl-org/DPT issue 92), so
that a map in its colours cannot be read back.
"""

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spade_eval.datasets.base import Dataset
from spade_eval.datasets.class_table import Colour
from spade_eval.datasets.class_tables import CLASS_TABLES
from spade_eval.errors import UserError, lookup
from spade_eval.models.labels import IGNORE_INDEX

OWN = "own"
"""The colours of the dataset itself, all different; so is a dataset's name that no row has."""
_TABLE = Path(__file__).with_name("condition_palettes.csv")
_OF_TABLE = "table"  # in the place of a file: the colours of the class table
_BLACK = (0, 0, 0)


@dataclass(frozen=True, kw_only=True)
class ConditionPalette:
    """Colours of label values 0, 1, 2, ..., and of pixels without a label."""

    name: str
    class_names: tuple[str, ...]
    colours: tuple[Colour, ...]
    unlabelled: Colour | None  # None where every pixel has a label
    source: str  # who says that these are the colours

    @property
    def sha256(self) -> str:
        """Identify the colours, whatever they are called."""
        return hashlib.sha256(repr((self.colours, self.unlabelled)).encode()).hexdigest()

    def painted(self, label_map: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Paint (..., H, W) label values -> (..., H, W, 3), values without a colour black."""
        table = np.zeros((IGNORE_INDEX + 1, 3), dtype=np.uint8)
        table[: len(self.colours)] = self.colours
        table[IGNORE_INDEX] = self.unlabelled or _BLACK
        return table[label_map]

    @property
    def named_colours(self) -> list[tuple[str, int, Colour]]:
        """(name, label value, colour) of every class, and of what has none."""
        named = [
            (name, value, colour)
            for value, (name, colour) in enumerate(zip(self.class_names, self.colours, strict=True))
        ]
        if self.unlabelled is not None:
            named.append(("(unlabelled)", IGNORE_INDEX, self.unlabelled))
        return named

    def value_of(self) -> dict[Colour, int]:
        """Return the label value of each colour; `UserError` where two classes share one."""
        first: dict[Colour, tuple[str, int]] = {}
        for name, value, colour in self.named_colours:
            if colour in first:
                raise UserError(
                    f"palette {self.name}: {first[colour][0]} and {name} both are {colour}, so a "
                    "map in these colours cannot be read back; use label maps of ids, or palette "
                    f"{OWN}, whose colours differ"
                )
            first[colour] = (name, value)
        return {colour: value for colour, (_, value) in first.items()}


def condition_palette(name: str | None, dataset: Dataset) -> ConditionPalette:
    """Return a palette by name, None: the dataset's own; `UserError` for other classes."""
    rows = palette_rows()
    space = dataset.label_space
    if name in (None, OWN) or (name == dataset.name and name not in rows):
        return ConditionPalette(
            name=OWN,
            class_names=space.class_names,
            colours=tuple(space.palette),
            unlabelled=_BLACK if space.has_unlabelled else None,
            source=f"the colours of {dataset.name} in this suite",
        )
    row = lookup(rows, str(name), f"palette (besides {OWN})")
    classes = CLASS_TABLES[row["classes"]].class_names
    if classes != space.class_names:
        raise UserError(
            f"palette {name} is of the {len(classes)} classes of {row['classes']}, but "
            f"{dataset.name} has {len(space.class_names)} others; expected {OWN}, or a palette of "
            "its classes"
        )
    return ConditionPalette(
        name=str(name),
        class_names=classes,
        colours=_colours_of(row),
        unlabelled=_colour(row["unlabelled"].split()) if space.has_unlabelled else None,
        source=row["source"],
    )


@cache
def palette_rows() -> dict[str, dict[str, str]]:
    """Return the rows of the table by name."""
    with _TABLE.open(newline="", encoding="utf-8") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def _colours_of(row: dict[str, str]) -> tuple[Colour, ...]:
    """Return those of the class table, or of a CSV of red, green and blue beside this one."""
    if row["colours"] == _OF_TABLE:
        return CLASS_TABLES[row["classes"]].colours
    with _TABLE.with_name(row["colours"]).open(newline="", encoding="utf-8") as file:
        return tuple(_colour(line) for line in csv.reader(file))


def _colour(parts: Sequence[str]) -> Colour:
    red, green, blue = map(int, parts)
    return red, green, blue
