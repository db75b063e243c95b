# SPDX-License-Identifier: Apache-2.0
"""What the template draws: tables of cells whose text, sorting value and provenance are decided."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column; `larger_is_better` is None where numbers are facts and not scores."""

    title: str
    is_number: bool = False
    unit: str = ""
    larger_is_better: bool | None = None
    explanation: str = ""

    @property
    def first_order(self) -> str:
        """How the first click sorts: the best score first, texts and facts from the least."""
        return "descending" if self.larger_is_better else "ascending"

    @property
    def arrow(self) -> str:
        return {True: "↑", False: "↓", None: ""}[self.larger_is_better]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell; `value` is what sorting compares, in the unit shown, None where it is missing."""

    text: str = "-"
    value: float | None = None
    detail: int | None = None  # number of its provenance in `Details`
    extra: str = ""  # small print beside the number: an interval or a spread
    marks: str = ""  # footnotes of this number alone
    rank: Literal["", "best", "second", "better", "worse"] = ""
    image: str = ""  # name of the image that a click opens in the gallery


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """One row; reference rows (real, oracle) are bounds and do not compete."""

    cells: tuple[Cell, ...]
    kind: str = ""
    is_reference: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table with its caption and footnotes."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]
    caption: str = ""
    notes: tuple[tuple[str, str], ...] = ()  # (mark, text); an empty mark holds for every number

    @property
    def filter_example(self) -> str:
        """A comparison of this table that the filter understands."""
        names = [column.title for column in self.columns if column.unit == "%"]
        names += [column.title for column in self.columns if column.is_number]
        return f"{''.join(names[0].split())}>50" if names else "parts of them"


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page with an anchor; tables of one protocol, or of one comparison."""

    anchor: str
    nav: str  # the short name in the bar
    title: str
    lead: str = ""
    tables: tuple[Table, ...] = ()


def number(value: float | None, unit: str, decimals: int) -> tuple[str, float | None]:
    """Text and sorting value of a recorded number: fractions times 100, "-" where it is missing."""
    if value is None or math.isnan(value):
        return "-", None
    shown = 100 * value if unit == "%" else value
    return f"{shown:.{decimals}f}", shown


def decimals_of(values: Sequence[float | None], unit: str) -> int:
    """2, or 4 where every number is below 1: distances in a small feature space are."""
    known = [abs(value) for value in values if value is not None and not math.isnan(value)]
    return 4 if unit != "%" and known and max(known) < 1 else 2


def ranked(rows: Sequence[TableRow], columns: Sequence[Column]) -> tuple[TableRow, ...]:
    """The rows with the best and the second best model of each column named; one alone is not."""
    cells = [list(row.cells) for row in rows]
    for place, column in enumerate(columns):
        values = {row.cells[place].value for row in rows if not row.is_reference} - {None}
        if column.larger_is_better is None or len(values) < 2:
            continue
        first, second, *_ = sorted(values, reverse=column.larger_is_better)  # type: ignore[type-var]
        for index, row in enumerate(rows):
            cell = row.cells[place]
            if not row.is_reference and cell.value in (first, second):
                rank: Literal["best", "second"] = "best" if cell.value == first else "second"
                cells[index][place] = replace(cell, rank=rank)
    return tuple(replace(row, cells=tuple(own)) for row, own in zip(rows, cells, strict=True))
