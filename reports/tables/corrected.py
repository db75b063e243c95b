# SPDX-License-Identifier: Apache-2.0
"""The column beside a distance that holds it without its bias, with the 95% interval."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from spade_eval.records import Measurement
from spade_eval.reports.measured.grouping import Row
from spade_eval.reports.measured.provenance import Origin
from spade_eval.reports.statistics.floors import Floor
from spade_eval.reports.statistics.intervals import Place
from spade_eval.reports.statistics.stored_distances import SAME_IMAGES, Corrected
from spade_eval.reports.tables.table import Cell, Column, number_cell, rounded

_EXPLANATION = (
    "without the bias of so many images: jackknife in pairs of photo and image (KID: without those "
    "pairs), with its 95% interval over label maps"
)


def corrected_column(
    metric: str, label: str, rows: Sequence[Row], known: Mapping[Place, Corrected], decimals: int
) -> Column | None:
    """Lay out the corrected values of a metric; None where no row has any."""
    found = [known.get((row.title, metric)) for row in rows]
    if not any(found):
        return None
    cells = [
        Cell() if item is None else corrected_cell(item, decimals, row.scores[metric])
        for row, item in zip(rows, found, strict=True)
    ]
    return Column(heading=f"{label}, corrected", cells=tuple(cells), explanation=_EXPLANATION)


def corrected_frame(
    metrics: Sequence[str], rows: Sequence[Row], known: Mapping[Place, Corrected]
) -> pd.DataFrame:
    """Return value, ends and remark of every corrected metric, every digit."""
    frame = pd.DataFrame(index=range(len(rows)))
    for metric in metrics:
        found = [known.get((row.title, metric)) for row in rows]
        if not any(found):
            continue
        for name, field in (("", "value"), ("_low", "low"), ("_high", "high")):
            values = [math.nan if item is None else getattr(item, field) for item in found]
            frame[f"{metric}_corrected{name}"] = pd.Series(values, dtype="float64")
        remarks = [None if item is None else item.remark for item in found]
        frame[f"{metric}_corrected_remark"] = pd.Series(remarks, dtype="object")
    return frame


def corrected_cell(item: Corrected, decimals: int, record: Measurement | None = None) -> Cell:
    """Show value and interval, or why there are none; `record` is what was corrected."""
    if item.remark == SAME_IMAGES:
        return Cell(text=f"0 ({SAME_IMAGES})", value=0.0)
    if item.remark:
        return Cell(text=item.remark)
    origin = Origin(
        records=() if record is None else (record,),
        heading=_EXPLANATION,
        exact=f"{item.value!r} [{item.low!r}, {item.high!r}]",
    )
    ends = f"[{rounded(item.low, decimals)}, {rounded(item.high, decimals)}]"
    return replace(number_cell(item.value, "", decimals, origin=origin), spread=ends)


def floor_cells(floor: Floor | None, decimals: int) -> list[Cell]:
    """Return the floor of a metric as it stands in its column and in the corrected one."""
    if floor is None:
        return [Cell(), Cell()]
    return [number_cell(floor.value, "", decimals), corrected_cell(floor.corrected, decimals)]


def with_row(columns: Sequence[Column], cells: Sequence[Cell], place: int) -> list[Column]:
    """Put a row of one cell a column at `place`."""
    return [
        replace(column, cells=(*column.cells[:place], cell, *column.cells[place:]))
        for column, cell in zip(columns, cells, strict=True)
    ]
