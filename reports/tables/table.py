# SPDX-License-Identifier: Apache-2.0
"""The one table: printed as text, Markdown and LaTeX, drawn on the web page, written as CSV.

A table's frame holds what was measured; this is the only place where numbers are rounded. Fractions
(unit "%") are shown times 100. Marked is every model that no other is shown to be better than
(`statistics/standings.py`): bounds such as the real photos do not compete, and where nothing was
tested nothing is marked.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import pandas as pd

from spade_eval.reports.measured.grouping import REFERENCE_KINDS, shortened
from spade_eval.reports.measured.provenance import Origin

Rank = Literal["", "best", "better", "worse"]
Form = Literal["text", "file", "page"]  # a screen's text; Markdown and LaTeX; the web page
EVERYWHERE: tuple[Form, ...] = ("text", "file", "page")
ABSENT = "-"
MARKED = "no other model is shown to be better"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell; `value` is what sorting compares, in the unit shown, None where it is missing."""

    text: str = ABSENT
    value: float | None = None
    rank: Rank = ""  # how it stands in its column, or what a comparison says
    spread: str = ""  # behind the number
    interval: str = ""  # on the page alone, in small print
    marks: str = ""  # on the page alone: letters of the notes on this number
    origin: Origin | None = None
    link: str = ""  # in Markdown alone: a file beside the table
    image: str = ""  # name of the image that a click opens in the gallery

    @property
    def printed(self) -> str:
        return f"{self.text} {self.spread}".rstrip()


@dataclass(frozen=True, kw_only=True)
class Column:
    """Heading and cells; `larger_is_better` is None where numbers are facts and not scores."""

    heading: str
    cells: tuple[Cell, ...]
    unit: str = ""
    larger_is_better: bool | None = None
    is_name: bool = False  # flush left
    competes: bool = False  # cells may be marked, and the unit is printed
    longest: int | None = None  # characters in print
    explanation: str = ""
    forms: tuple[Form, ...] = EVERYWHERE

    @property
    def is_number(self) -> bool:
        """Whether the page sorts by values; a column without any is text."""
        return any(cell.value is not None for cell in self.cells)

    @property
    def arrow(self) -> str:
        return {True: "↑", False: "↓", None: ""}[self.larger_is_better]

    @property
    def printed_unit(self) -> str:
        return f"{self.unit} {self.arrow}".strip() if self.competes else ""

    @property
    def first_order(self) -> str:
        """Order of the first click: the best score first, texts and facts from the least."""
        return "descending" if self.larger_is_better else "ascending"

    def printed(self, index: int) -> str:
        """Return the text of a cell in print."""
        text = self.cells[index].printed
        return text if self.longest is None else shortened(text, self.longest)


@dataclass(frozen=True, kw_only=True)
class Table:
    """A whole table; a rule stands above each row whose index is in `rules`."""

    title: str
    columns: tuple[Column, ...]
    kinds: tuple[str, ...] = ()  # of the rows; empty where none is a bound
    rules: frozenset[int] = frozenset()
    warnings: tuple[str, ...] = ()  # above the table, in every form
    shown: str = ""  # which differences are shown and which are not, in every form
    notes: tuple[str, ...] = ()
    own_marks: Mapping[str, str] = field(default_factory=dict)  # letters of notes on single numbers
    caption: str = ""  # on the page
    frame: pd.DataFrame = field(default_factory=pd.DataFrame)  # every digit, for CSV and Parquet

    @property
    def num_rows(self) -> int:
        return len(self.columns[0].cells) if self.columns else 0

    @property
    def has_ranks(self) -> bool:
        return any(cell.rank for column in self.columns if column.competes for cell in column.cells)

    @property
    def page_notes(self) -> list[tuple[str, str]]:
        """(mark, note); those without a mark hold for every number."""
        marked = [(mark, note) for note, mark in self.own_marks.items()]
        first = [("", self.shown)] if self.shown else []
        return [*first, *marked, *(("", note) for note in self.notes if note not in self.own_marks)]

    @property
    def filter_example(self) -> str:
        """A comparison of this table that the page's filter understands."""
        shown = self.columns_of("page")
        names = [column.heading for column in shown if column.unit == "%"]
        names += [column.heading for column in shown if column.is_number]
        return f"{''.join(names[0].split())}>50" if names else "parts of them"

    def columns_of(self, form: Form) -> tuple[Column, ...]:
        """Select the columns that a form of the table has."""
        return tuple(column for column in self.columns if form in column.forms)

    def is_reference(self, index: int) -> bool:
        """Return whether a row is a bound, which does not compete."""
        return bool(self.kinds) and self.kinds[index] in REFERENCE_KINDS


def name_column(
    heading: str, names: Sequence[str], *, forms: Sequence[Form] = EVERYWHERE
) -> Column:
    """Make a column of texts."""
    cells = tuple(Cell(text=name) for name in names)
    return Column(heading=heading, cells=cells, is_name=True, forms=tuple(forms))


def number_cell(
    value: float | None,
    unit: str,
    decimals: int = 2,
    *,
    signed: bool = False,
    spread: float = math.nan,
    origin: Origin | None = None,
) -> Cell:
    """Show a number as it was recorded, or "-" where there is none (None, NaN)."""
    if value is None or math.isnan(value):
        return Cell()
    factor = 100 if unit == "%" else 1
    text = rounded(factor * value, decimals)
    if signed and not text.startswith("-"):
        text = f"+{text}"
    behind = "" if math.isnan(spread) else f"± {factor * spread:.{decimals}f}"
    return Cell(text=text, value=factor * value, spread=behind, origin=origin)


def marked_column(column: Column, best: Sequence[bool]) -> Column:
    """Mark the cells of a metric's column that no other row is shown to be better than."""
    assert column.larger_is_better is not None
    ranks: list[Rank] = ["best" if is_best else "" for is_best in best]
    cells = [replace(cell, rank=rank) for cell, rank in zip(column.cells, ranks, strict=True)]
    return replace(column, cells=tuple(cells), competes=True)


def decimals_of(values: Sequence[float | None], unit: str) -> int:
    """Return 2, or 4 where all numbers are below 1, as small distances can be."""
    known = [abs(value) for value in values if value is not None and not math.isnan(value)]
    return 4 if unit != "%" and known and max(known) < 1 else 2


def rounded(value: float, decimals: int) -> str:
    """Round a number for print: "-" for NaN, never "-0.00"."""
    if math.isnan(value):
        return ABSENT
    text = f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0 else text


def rules_between(kinds: Sequence[str]) -> frozenset[int]:
    """Find the rows at which the models begin after the bounds."""
    return frozenset(
        place
        for place in range(1, len(kinds))
        if kinds[place - 1] in REFERENCE_KINDS and kinds[place] not in REFERENCE_KINDS
    )


def count_cell(value: object, origin: Origin | None = None) -> Cell:
    """Show a whole number, "-" where there is none."""
    if pd.isna(value):  # type: ignore[call-overload]
        return Cell()
    return Cell(text=str(value), value=float(value), origin=origin)  # type: ignore[arg-type]


def millions_cell(value: object, origin: Origin | None = None, decimals: int = 2) -> Cell:
    """Show a number of parameters as papers print it."""
    if pd.isna(value):  # type: ignore[call-overload]
        return Cell()
    number = float(value) / 1e6  # type: ignore[arg-type]
    return Cell(text=f"{number:.{decimals}f}M", value=number, origin=origin)
