# SPDX-License-Identifier: Apache-2.0
"""The column beside a distance that holds it without its bias, with the 95% interval."""

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from spade_eval.reports.measured.grouping import Row
from spade_eval.reports.measured.provenance import Origin
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
        Cell() if item is None else _cell(item, row, metric, decimals)
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


def _cell(item: Corrected, row: Row, metric: str, decimals: int) -> Cell:
    if item.remark == SAME_IMAGES:
        return Cell(text=f"0 ({SAME_IMAGES})", value=0.0)
    if item.remark:
        return Cell(text=item.remark)
    ends = f"[{rounded(item.low, decimals)}, {rounded(item.high, decimals)}]"
    origin = Origin(
        records=(row.scores[metric],),
        heading=_EXPLANATION,
        exact=f"{item.value!r} [{item.low!r}, {item.high!r}]",
    )
    cell = number_cell(item.value, "", decimals, origin=origin)
    return Cell(text=cell.text, value=cell.value, spread=ends, origin=origin)
