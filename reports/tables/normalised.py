# SPDX-License-Identifier: Apache-2.0
"""The column beside mIoU that places it between floor and oracle, with the 95% interval.

In files and on the page alone: a screen has no room for it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from spade_eval.reports.measured.grouping import Row
from spade_eval.reports.measured.provenance import Origin
from spade_eval.reports.statistics.normalised import FLOOR, METRIC, ORACLE, Normalised
from spade_eval.reports.tables.table import Cell, Column, number_cell, rounded

_EXPLANATION = (
    f"share of the way from the mIoU of {FLOOR} to that of {ORACLE}, with its 95% interval over "
    "label maps, which are the same in all three"
)
_DECIMALS = 2


def normalised_column(rows: Sequence[Row], known: Mapping[str, Normalised]) -> Column | None:
    """Lay out the score of every row; None where no row has any."""
    if not known:
        return None
    cells = [_cell(known.get(row.title), row) for row in rows]
    return Column(
        heading="mIoU, normalised, %",
        cells=tuple(cells),
        unit="%",
        explanation=_EXPLANATION,
        forms=("file", "page"),
    )


def normalised_frame(rows: Sequence[Row], known: Mapping[str, Normalised]) -> pd.DataFrame:
    """Return value and ends of every row as fractions, every digit; no columns where none has."""
    frame = pd.DataFrame(index=range(len(rows)))
    if known:
        for name, field in (("", "value"), ("_low", "low"), ("_high", "high")):
            values = [getattr(known.get(row.title), field, math.nan) for row in rows]
            frame[f"{METRIC}_normalised{name}"] = pd.Series(values, dtype="float64")
    return frame


def _cell(item: Normalised | None, row: Row) -> Cell:
    if item is None:
        return Cell()
    ends = f"[{rounded(100 * item.low, _DECIMALS)}, {rounded(100 * item.high, _DECIMALS)}]"
    origin = Origin(
        records=(row.scores[METRIC],),
        heading=_EXPLANATION,
        exact=f"{item.value!r} [{item.low!r}, {item.high!r}]",
    )
    # Floor and oracle are 0 and 100% whatever the images.
    return replace(
        number_cell(item.value, "%", _DECIMALS, origin=origin),
        spread="" if item.low == item.high else ends,
    )
