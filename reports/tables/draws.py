# SPDX-License-Identifier: Apache-2.0
"""The table of rows that have several images of each label map: every draw, pooled and on average.

The main table holds of them what rows are ranked by; here is each number by its name.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from spade_eval.metrics.draws import BEST, MEAN, POOLED, column_over, draw_name
from spade_eval.records import Measurement
from spade_eval.reports.measured.counts import draws_of
from spade_eval.reports.measured.grouping import ProtocolGroup, Row, metric_names, value_of
from spade_eval.reports.measured.provenance import Origin
from spade_eval.reports.statistics.intervals import Uncertainty
from spade_eval.reports.tables.scores import spread_over_draws
from spade_eval.reports.tables.table import (
    Cell,
    Column,
    Table,
    decimals_of,
    name_column,
    number_cell,
)

Line = tuple[Row, str | None]
"""A row, and over what its numbers are: None, the first draw."""
_WORDS = {None: draw_name(1), MEAN: "mean of draws", BEST: "best draw (oracle) †"}
_UNKNOWN = (math.nan, math.nan)
_ORACLE = (
    "† of each label map the image with the most correct pixels, chosen by the label map that "
    "scores it: an oracle and no result; never compare it with one draw, pooled or mean."
)


def draws_table(group: ProtocolGroup, uncertainty: Uncertainty) -> Table | None:
    """Lay out the draws of a protocol's rows; None where no row has several."""
    rows = drawn_rows(group)
    if not rows:
        return None
    lines, names = _lines(rows), _names(rows)
    has_best = any(over == BEST for _, over in lines)
    return Table(
        title=f"Draws: {group.title}",
        columns=(
            name_column("source", [row.title for row, _ in lines]),
            name_column("of", [_word(over) for _, over in lines]),
            *(_column(name, lines, uncertainty) for name in names),
        ),
        caption="Several images of each label map: ± is the standard deviation over draws.",
        notes=(_ORACLE,) if has_best else (),
        frame=pd.concat([draws_frame(rows), _ends(lines, names, uncertainty)], axis="columns"),
    )


def drawn_rows(group: ProtocolGroup) -> list[Row]:
    """Return the rows that have several images of each label map."""
    return [row for row in group.rows if row.measurements[0].num_draws]


def _lines(rows: Sequence[Row]) -> list[Line]:
    return [(row, over) for row in rows for over in _overs(row)]


def _names(rows: Sequence[Row]) -> list[str]:
    return [name for name in metric_names(rows) if any(_has(row, name) for row in rows)]


def _overs(row: Row) -> list[str | None]:
    """Return what there is of a row, in the order of the lines."""
    draws = [draw_name(number) for number in draws_of(row.measurements[0])[1:]]
    present = {item.draws for item in row.scores.values()}
    return [over for over in (None, *draws, MEAN, POOLED, BEST) if over in present]


def _has(row: Row, name: str) -> bool:
    """Return whether a metric of one draw is there of several."""
    return column_over(name, POOLED) in row.scores


def _item(line: Line, name: str) -> Measurement | None:
    row, over = line
    return row.scores.get(name if over is None else column_over(name, over))


def _word(over: str | None) -> str:
    return _WORDS.get(over, str(over))


def _column(name: str, lines: Sequence[Line], uncertainty: Uncertainty) -> Column:
    items = [_item(line, name) for line in lines]
    about = next(item for item in items if item is not None)
    decimals = decimals_of([item.value for item in items if item is not None], about.unit)
    cells = [
        _cell(line, item, decimals, uncertainty) for line, item in zip(lines, items, strict=True)
    ]
    return Column(
        heading=about.label,
        cells=tuple(cells),
        unit=about.unit,
        larger_is_better=about.larger_is_better,
    )


def _cell(line: Line, item: Measurement | None, decimals: int, uncertainty: Uncertainty) -> Cell:
    if item is None:
        return Cell()
    spread = spread_over_draws(line[0], item.metric) if item.draws == MEAN else math.nan
    ends = uncertainty.intervals.get((line[0].title, item.metric), ())
    both = [number_cell(end, item.unit, decimals).text for end in ends]
    cell = number_cell(
        item.value, item.unit, decimals, spread=spread, origin=Origin(records=(item,))
    )
    # That of a distance is about another value, the corrected one.
    is_corrected = (line[0].title, item.metric) in uncertainty.corrected
    return cell if is_corrected else replace(cell, interval=" to ".join(both))


def draws_frame(rows: Sequence[Row]) -> pd.DataFrame:
    """Return every number of rows of several draws, a line a draw and what is over all of them."""
    lines, names = _lines(rows), _names(rows)
    frame = pd.DataFrame(
        {
            "source": [row.source for row, _ in lines],
            "kind": [row.kind for row, _ in lines],
            "of": [over or draw_name(1) for _, over in lines],
            "num_draws": [row.measurements[0].num_draws for row, _ in lines],
        }
    )
    for name in names:
        items = [_item(line, name) for line in lines]
        frame[name] = pd.Series([value_of(item) for item in items], dtype="float64")
        spreads = [
            spread_over_draws(row, column_over(name, MEAN)) if over == MEAN else math.nan
            for row, over in lines
        ]
        frame[f"{name}_spread"] = pd.Series(spreads, dtype="float64")
    return frame


def _ends(lines: Sequence[Line], names: Sequence[str], known: Uncertainty) -> pd.DataFrame:
    """Return the ends of 95% intervals over label maps; of distances, without their bias."""
    frame = pd.DataFrame(index=range(len(lines)))
    for name in names:
        items = [_item(line, name) for line in lines]
        both = [
            known.intervals.get((row.title, "" if item is None else item.metric), _UNKNOWN)
            for (row, _), item in zip(lines, items, strict=True)
        ]
        frame[f"{name}_low"] = pd.Series([low for low, _ in both], dtype="float64")
        frame[f"{name}_high"] = pd.Series([high for _, high in both], dtype="float64")
    return frame
