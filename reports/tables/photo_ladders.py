# SPDX-License-Identifier: Apache-2.0
"""Ladders of corrupted photos as a table and a sentence for each column: what it is blind to."""

import math
from collections.abc import Sequence

import pandas as pd

from spade_eval.reports.statistics.photo_ladders import Rung
from spade_eval.reports.tables.table import Cell, Column, Table, name_column, number_cell


def ladder_table(rungs: Sequence[Rung], num_photos: int, size: tuple[int, int]) -> Table:
    """Lay out a step a line, and of each network the distance and its standard errors."""
    labels = list(dict.fromkeys(rung.column for rung in rungs))
    by_label = {label: [rung for rung in rungs if rung.column == label] for label in labels}
    steps = by_label[labels[0]]
    columns = [
        name_column("photos are", ["clean", *(rung.ladder for rung in steps)]),
        name_column("strength", ["", *(rung.strength for rung in steps)]),
    ]
    for label, items in by_label.items():
        distances = [number_cell(value, "", origin=None) for value in
                     (items[0].clean, *(rung.distance for rung in items))]  # fmt: skip
        errors = [Cell(), *(number_cell(_or_nan(rung.errors), "", 1) for rung in items)]
        columns += [
            Column(heading=label, cells=tuple(distances), unit="", larger_is_better=False),
            Column(heading=f"{label}, standard errors above clean", cells=tuple(errors), unit=""),
        ]
    firsts = [place + 1 for place, rung in enumerate(steps)
              if place == 0 or rung.ladder != steps[place - 1].ladder]  # fmt: skip
    return Table(
        title=f"What distances see of {num_photos} photos of {size[0]}x{size[1]}, two halves",
        columns=tuple(columns),
        kinds=("",) * (len(steps) + 1),
        rules=frozenset(firsts),
        notes=tuple(blind_spots(rungs)),
        frame=pd.DataFrame(
            [(r.column, r.ladder, r.strength, r.distance, r.clean, r.errors) for r in rungs],
            columns=["column", "ladder", "strength", "distance", "clean", "standard_errors"],
        ),
    )


def blind_spots(rungs: Sequence[Rung]) -> list[str]:
    """Say of every column which steps it does not tell from clean photos."""
    sentences = []
    for label in dict.fromkeys(rung.column for rung in rungs):
        unseen = [f"{rung.ladder} {rung.strength} ({_or_nan(rung.errors):.1f} standard errors)"
                  for rung in rungs if rung.column == label and not rung.is_seen]  # fmt: skip
        sentences.append(
            f"{label} does not see {', '.join(unseen)} of these photos."
            if unseen
            else f"{label} sees every step of these photos."
        )
    return sentences


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
