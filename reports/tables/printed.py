# SPDX-License-Identifier: Apache-2.0
"""A table as it is printed: rounded cells, marks and rules, the same for text, Markdown and LaTeX.

Frames hold what was measured; this is the only place where numbers are rounded. Fractions (unit
"%") are printed times 100. Best and second best are marked among the models alone: bounds such as
the real photos do not compete, and one model alone is not marked.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from spade_eval.reports.measured.grouping import REFERENCE_KINDS

Mark = Literal["", "best", "second"]
ABSENT = "-"
_NOT_COMPETING = (*REFERENCE_KINDS, "paper")


@dataclass(frozen=True)
class Cell:
    """One cell as text, and how it stands among its column."""

    text: str
    mark: Mark = ""


@dataclass(frozen=True, kw_only=True)
class Column:
    """Heading, unit with the direction, and the cells of the rows."""

    heading: str
    unit: str = ""
    cells: tuple[Cell, ...]
    is_name: bool = False  # flush left
    marked: bool = False  # whether cells may carry marks


@dataclass(frozen=True, kw_only=True)
class Printed:
    """A whole table; a rule stands above each row whose index is in `rules`."""

    title: str
    columns: tuple[Column, ...]
    rules: frozenset[int] = frozenset()
    notes: tuple[str, ...] = ()

    @property
    def num_rows(self) -> int:
        return len(self.columns[0].cells) if self.columns else 0

    @property
    def has_marks(self) -> bool:
        return any(cell.mark for column in self.columns for cell in column.cells)


def name_column(heading: str, names: Sequence[str], *, is_name: bool = True) -> Column:
    """A column of texts."""
    return Column(heading=heading, cells=tuple(map(Cell, names)), is_name=is_name)


def number_column(
    heading: str,
    values: Sequence[float],
    *,
    unit: str,
    larger_is_better: bool,
    kinds: Sequence[str],
    spreads: Sequence[float] | None = None,
    blocks: Sequence[str] | None = None,
) -> Column:
    """A metric: rounded numbers (with their spread), best and second of each block marked."""
    factor = 100 if unit == "%" else 1
    decimals = decimals_of(values, unit)
    spreads = [float("nan")] * len(values) if spreads is None else spreads
    texts = [
        rounded(factor * value, decimals) + _spread(factor * spread, decimals)
        for value, spread in zip(values, spreads, strict=True)
    ]
    marks = _marks_by_block(values, larger_is_better, kinds, blocks or [""] * len(values))
    return Column(
        heading=heading,
        unit=f"{unit} {'↑' if larger_is_better else '↓'}".strip(),
        cells=tuple(map(Cell, texts, marks)),
        marked=True,
    )


def decimals_of(values: Sequence[float], unit: str) -> int:
    """Two; four where all numbers are below 1, as distances in a small feature space can be."""
    known = [abs(value) for value in values if not math.isnan(value)]
    return 4 if unit != "%" and known and max(known) < 1 else 2


def rounded(value: float, decimals: int) -> str:
    """A number for print, "-" for NaN, never "-0.00"."""
    if math.isnan(value):
        return ABSENT
    text = f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0 else text


def _spread(value: float, decimals: int) -> str:
    return "" if math.isnan(value) else f" ± {value:.{decimals}f}"


def marks_of(values: Sequence[float], larger_is_better: bool, kinds: Sequence[str]) -> list[Mark]:
    """Best and second best of the rows that compete; equal values share a mark."""
    competing = {
        value
        for value, kind in zip(values, kinds, strict=True)
        if kind not in _NOT_COMPETING and not math.isnan(value)
    }
    num_models = sum(
        kind not in _NOT_COMPETING and not math.isnan(value)
        for value, kind in zip(values, kinds, strict=True)
    )
    if num_models < 2:
        return [""] * len(values)
    places: list[Mark] = ["best", "second"]
    order = dict(zip(sorted(competing, reverse=larger_is_better), places, strict=False))
    return [
        order.get(value, "") if kind not in _NOT_COMPETING else ""
        for value, kind in zip(values, kinds, strict=True)
    ]


def _marks_by_block(
    values: Sequence[float], larger_is_better: bool, kinds: Sequence[str], blocks: Sequence[str]
) -> list[Mark]:
    """`marks_of` within each block of rows, for instance one dataset."""
    marks: list[Mark] = [""] * len(values)
    for block in dict.fromkeys(blocks):
        places = [place for place, name in enumerate(blocks) if name == block]
        inside = marks_of(
            [values[place] for place in places],
            larger_is_better,
            [kinds[place] for place in places],
        )
        for place, mark in zip(places, inside, strict=True):
            marks[place] = mark
    return marks


def rules_between(kinds: Sequence[str]) -> frozenset[int]:
    """Rows at which the models begin after the bounds."""
    return frozenset(
        place
        for place in range(1, len(kinds))
        if kinds[place - 1] in REFERENCE_KINDS and kinds[place] not in REFERENCE_KINDS
    )


def count_text(value: object) -> str:
    """A whole number, "-" where there is none."""
    return ABSENT if pd.isna(value) else str(value)  # type: ignore[call-overload]


def millions(value: object, decimals: int = 2) -> str:
    """A number of parameters, as papers print it."""
    return ABSENT if pd.isna(value) else f"{float(value) / 1e6:.{decimals}f}M"  # type: ignore[call-overload,arg-type]
