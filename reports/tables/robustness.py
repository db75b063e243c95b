# SPDX-License-Identifier: Apache-2.0
"""The table of what damaged label maps cost each row, beside its scores on clean ones."""

import dataclasses
import math
from collections.abc import Sequence

import pandas as pd

from spade_eval.reports.statistics.robustness import Loss
from spade_eval.reports.tables.table import (
    Cell,
    Column,
    Table,
    decimals_of,
    name_column,
    number_cell,
)

_NOTE = (
    "Damaged minus clean, the same label maps and photos in both, with the 95% interval over label "
    "maps; of distances without the bias of both. Intervals are of single differences."
)


def robustness_table(losses: Sequence[Loss]) -> Table | None:
    """Lay out losses, a line a row and damage; None where there is none."""
    if not losses:
        return None
    lines = list(dict.fromkeys((loss.source, loss.damage) for loss in losses))
    metrics = dict.fromkeys(loss.metric for loss in losses)
    columns = [
        name_column("source", [source for source, _ in lines]),
        name_column("damage", [damage for _, damage in lines]),
    ]
    for metric in metrics:
        known = {(loss.source, loss.damage): loss for loss in losses if loss.metric == metric}
        columns += _columns([known.get(line) for line in lines])
    frame = pd.DataFrame([dataclasses.asdict(loss) for loss in losses])
    return Table(
        title="Robustness: clean and damaged label maps",
        columns=tuple(columns),
        notes=(_NOTE,),
        frame=frame,
    )


def _columns(losses: Sequence[Loss | None]) -> list[Column]:
    about = next(loss for loss in losses if loss is not None)
    known = [value for loss in losses if loss for value in (loss.clean, loss.damaged)]
    decimals = decimals_of(known, about.unit)
    cells = {
        "clean": [_cell(loss, "clean", decimals) for loss in losses],
        "damaged": [_cell(loss, "damaged", decimals) for loss in losses],
        "difference": [_difference(loss, decimals) for loss in losses],
    }
    return [
        Column(
            heading=f"{about.label}, {what}",
            cells=tuple(of_column),
            unit=about.unit,
            larger_is_better=about.larger_is_better,
        )
        for what, of_column in cells.items()
    ]


def _cell(loss: Loss | None, name: str, decimals: int) -> Cell:
    return number_cell(None if loss is None else getattr(loss, name), _unit(loss), decimals)


def _unit(loss: Loss | None) -> str:
    return "" if loss is None else loss.unit


def _difference(loss: Loss | None, decimals: int) -> Cell:
    if loss is None:
        return Cell()
    cell = number_cell(loss.difference, loss.unit, decimals, signed=True)
    ends = [number_cell(end, loss.unit, decimals).text for end in (loss.low, loss.high)]
    return (
        cell if math.isnan(loss.low) else dataclasses.replace(cell, spread=f"[{', '.join(ends)}]")
    )
