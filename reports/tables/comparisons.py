# SPDX-License-Identifier: Apache-2.0
"""The comparison of a model with one baseline as tables: metrics, classes, images.

The verdict stands in words beside the numbers; a colour alone says nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from spade_eval.reports.measured.provenance import Origin
from spade_eval.reports.statistics.differences import (
    ClassDifference,
    ImageDifference,
    Pair,
    Verdict,
)
from spade_eval.reports.tables.table import Cell, Column, Rank, Table, name_column, number_cell

_MADE_FROM = "the records and per-image counts of both (see the scores' provenance)"
_DETECTABLE = "smallest difference that so many images show with a chance of 80%"
_NEEDED = "images that would show this difference with a chance of 80%"
_RANKS: dict[Verdict, Rank] = {"better": "better", "worse": "worse"}


def difference_table(pair: Pair, notes: Sequence[str] = ()) -> Table:
    """Lay out subject minus baseline in each metric."""
    items = pair.differences
    names = [f"{item.label}, {item.unit}" if item.unit else item.label for item in items]
    numbers = _Numbers(
        pair,
        items,
        [item.unit for item in items],
        [4 if item.unit != "%" and abs(item.subject) < 1 else 2 for item in items],
        [item.label for item in items],
    )
    methods = [item.method or "-" for item in items]
    return Table(
        title=f"{pair.subject} against {pair.baseline}",
        columns=(
            name_column("metric", names),
            *numbers.values(),
            *numbers.corrected(),
            *numbers.ends(),
            _verdicts([item.verdict for item in items]),
            numbers.smallest(),
            numbers.needed(),
            name_column("interval by", methods),
        ),
        notes=tuple(notes),
    )


def class_table(pair: Pair) -> Table:
    """Lay out IoU of every class, the largest win first."""
    won, lost = _of_verdict(pair, "better"), _of_verdict(pair, "worse")
    rest = len(pair.classes) - len(won) - len(lost)
    return _classes(
        pair,
        pair.classes,
        f"IoU by class, {pair.subject} against {pair.baseline}: {len(won)} won, {len(lost)} lost, "
        f"{rest} with no difference shown",
    )


def class_lists(pair: Pair, most: int) -> list[Table]:
    """Lay out the classes won and those lost apart, the largest differences first."""
    tables = []
    for verdict, word in (("better", "won"), ("worse", "lost")):
        items = _of_verdict(pair, verdict)
        if items:
            items.sort(key=lambda item: -abs(item.difference))
            cut = f", the {most} largest differences" if len(items) > most else ""
            title = f"{len(items)} classes {word} by {pair.subject} against {pair.baseline}{cut}"
            tables.append(_classes(pair, items[:most], f"{title}: IoU"))
    return tables


def image_lists(pair: Pair, most: int | None = None, folder: Path | None = None) -> list[Table]:
    """Lay out the accuracy of images won and of those lost apart, the largest differences first.

    With the `folder` that the table is written into, its numbers link to the images that are kept
    two folders above it, in `images/ROW`.
    """
    tables = []
    for sign, word in ((1, "won"), (-1, "lost")):
        items = [item for item in pair.images if sign * item.difference > 0][:most]
        if items:
            title = f"Images {word} by {pair.subject} against {pair.baseline}, accuracy in %"
            tables.append(_images(pair, items, title, folder))
    return tables


def _of_verdict(pair: Pair, verdict: str) -> list[ClassDifference]:
    return [item for item in pair.classes if item.verdict == verdict]


def _classes(pair: Pair, items: Sequence[ClassDifference], title: str) -> Table:
    names = [item.name for item in items]
    numbers = _Numbers(
        pair, items, ["%"] * len(items), [2] * len(items), [f"IoU of {name}" for name in names]
    )
    return Table(
        title=title,
        columns=(
            name_column("class", names),
            *numbers.values(),
            *numbers.ends(),
            _verdicts([item.verdict for item in items]),
        ),
    )


def _images(pair: Pair, items: Sequence[ImageDifference], title: str, folder: Path | None) -> Table:
    numbers = _Numbers(
        pair,
        items,
        ["%"] * len(items),
        [2] * len(items),
        [f"accuracy of image {item.name}" for item in items],
    )
    cells = tuple(Cell(text=item.name, image=item.name) for item in items)
    subject, baseline, difference = numbers.values()
    names = [item.name for item in items]
    return Table(
        title=title,
        columns=(
            Column(heading="image", cells=cells, is_name=True),
            _linked(subject, pair.subject, names, folder),
            _linked(baseline, pair.baseline, names, folder),
            difference,
        ),
    )


def _linked(column: Column, row: str, names: Sequence[str], folder: Path | None) -> Column:
    """Link each number to the row's image, where it was kept."""
    if folder is None:
        return column
    places = [Path("images") / row / f"{name}.png" for name in names]
    cells = [
        replace(cell, link=f"../../{quote(place.as_posix())}")
        if (folder.parents[1] / place).is_file()
        else cell
        for cell, place in zip(column.cells, places, strict=True)
    ]
    return replace(column, cells=tuple(cells))


class _Numbers:
    """The columns of numbers of some differences, with their origins."""

    def __init__(
        self,
        pair: Pair,
        items: Sequence[Any],  # differences of one kind
        units: Sequence[str],
        decimals: Sequence[int],
        whats: Sequence[str],
    ) -> None:
        self.pair, self.items, self.whats = pair, items, whats
        self.units, self.decimals = units, decimals

    def values(self) -> list[Column]:
        """Return the columns of the subject, of the baseline, of their difference."""
        subject, baseline = self.pair.subject, self.pair.baseline
        return [
            self._column(subject, "model", [item.subject for item in self.items]),
            self._column(baseline, "baseline", [item.baseline for item in self.items]),
            self._column("difference", "difference", [item.difference for item in self.items]),
        ]

    def corrected(self) -> list[Column]:
        """Return the column of differences without bias, none where they are those recorded."""
        values = [item.corrected for item in self.items]
        if values == [item.difference for item in self.items]:
            return []
        return [self._column("corrected", "difference without bias", values, signed=True)]

    def smallest(self) -> Column:
        """Return the column of the smallest differences that so many images can show."""
        values = [item.smallest for item in self.items]
        column = self._column("detectable", "smallest difference", values)
        return replace(column, explanation=_DETECTABLE)

    def needed(self) -> Column:
        """Return the column of the images that would show what is not shown."""
        cells = [
            Cell(
                text=f"{item.needed:,.0f}",
                value=item.needed,
                origin=self._origin(place, "images needed", item.needed),
            )
            if math.isfinite(item.needed)
            else Cell()
            for place, item in enumerate(self.items)
        ]
        return Column(heading="images needed", cells=tuple(cells), explanation=_NEEDED)

    def ends(self) -> list[Column]:
        """Return the interval: one column in print, two that can be sorted on the page."""
        lows = [item.low for item in self.items]
        highs = [item.high for item in self.items]
        low = self._column("from", "low end of the interval", lows, signed=True)
        high = self._column("to", "high end of the interval", highs, signed=True)
        both = tuple(
            Cell() if first.value is None else Cell(text=f"[{first.text}, {last.text}]")
            for first, last in zip(low.cells, high.cells, strict=True)
        )
        printed = Column(heading="95% interval", cells=both, forms=("text", "file"))
        return [printed, replace(low, forms=("page",)), replace(high, forms=("page",))]

    def _column(
        self, heading: str, name: str, values: Sequence[float], *, signed: bool = False
    ) -> Column:
        signed = signed or name == "difference"
        cells = [
            number_cell(
                value, unit, decimals, signed=signed, origin=self._origin(place, name, value)
            )
            for place, (value, unit, decimals) in enumerate(
                zip(values, self.units, self.decimals, strict=True)
            )
        ]
        return Column(heading=heading, cells=tuple(cells))

    def _origin(self, place: int, name: str, value: float) -> Origin:
        method = getattr(self.items[place], "method", "")
        facts = {
            "number": self.whats[place],
            "model": self.pair.subject,
            "baseline": self.pair.baseline,
            "method": method,
            "computed from": _MADE_FROM,
        }
        return Origin(
            heading=f"{self.whats[place]}: {name}",
            exact=repr(value),
            facts={key: text for key, text in facts.items() if text},
        )


def _verdicts(verdicts: Sequence[Verdict]) -> Column:
    cells = tuple(Cell(text=text, rank=_RANKS.get(text, "")) for text in verdicts)
    return Column(heading="verdict", cells=cells, is_name=True)
