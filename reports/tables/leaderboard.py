# SPDX-License-Identifier: Apache-2.0
"""One ranking per protocol over many runs: mean and spread over seeds, best mIoU first.

Runs of different protocols never share a column; where several are given, each has a table of its
own and a line says in what they differ.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from spade_eval.reports.measured.grouping import ProtocolGroup, ProtocolKey
from spade_eval.reports.measured.provenance import Origin
from spade_eval.reports.measured.seeds import (
    SeededRow,
    metrics_of,
    seeded_notes,
    seeded_rows,
    warnings_of_seeds,
)
from spade_eval.reports.tables.table import (
    ABSENT,
    Column,
    Table,
    count_cell,
    decimals_of,
    millions_cell,
    name_column,
    number_cell,
    ranked_column,
    rules_between,
)


def leaderboard(group: ProtocolGroup) -> pd.DataFrame:
    """Return a row for each source, its seeds together: `<metric>`, `<metric>_spread`, as recorded.

    Bounds first, then models by their first metric.
    """
    rows = seeded_rows(group)
    metrics = metrics_of(rows)
    rows = _ranked(rows, metrics)
    frame = pd.DataFrame([_line(row, list(metrics)) for row in rows])
    whole = ("seeds", "parameters", "train_steps", "N")
    frame = frame.astype(dict.fromkeys(whole, "Int64"))
    frame.attrs = {
        "metrics": metrics,
        "title": f"Leaderboard: {group.title}",
        "notes": _notes(rows),
        "warnings": warnings_of_seeds(rows),
    }
    return frame


def different(keys: Sequence[ProtocolKey]) -> str:
    """Say in what protocols differ, for a reader: the fields that are not the same in all."""
    parts = []
    for field in ProtocolKey._fields:
        values = list(dict.fromkeys(getattr(key, field) for key in keys))
        if len(values) > 1:
            shown = [str(value)[:8] if field.endswith("sha256") else str(value) for value in values]
            parts.append(f"{field.replace('_', ' ')} ({', '.join(shown)})")
    return f"{len(keys)} protocols that differ in {', '.join(parts)}"


def leaderboard_table(board: pd.DataFrame) -> Table:
    """Lay out a `leaderboard` with spreads, best and second marked."""
    kinds = board["kind"].tolist()
    columns = [name_column(name, board[name].tolist()) for name in ("row", "kind")]
    columns.append(_counts("seeds", board["seeds"]))
    if board["style_input"].notna().any():
        shown = [str(value) if pd.notna(value) else ABSENT for value in board["style_input"]]
        columns.append(name_column("style input", shown))
    parameters = tuple(map(millions_cell, board["parameters"]))
    columns.append(Column(heading="parameters", cells=parameters))
    columns.append(_counts("steps", board["train_steps"]))
    columns += [
        ranked_column(mean_column(board, name, about), kinds)
        for name, about in board.attrs["metrics"].items()
    ]
    return Table(
        title=board.attrs["title"],
        columns=tuple(columns),
        kinds=tuple(kinds),
        rules=rules_between(kinds),
        warnings=tuple(board.attrs["warnings"]),
        notes=tuple(board.attrs["notes"]),
        frame=board,
    )


def mean_column(
    frame: pd.DataFrame, metric: str, about: Mapping[str, Any], origins: Sequence[Origin] = ()
) -> Column:
    """Show means over seeds with their spread, `<metric>` and `<metric>_spread` of a frame."""
    values, spreads = frame[metric].tolist(), frame[f"{metric}_spread"].tolist()
    decimals = decimals_of(values, about["unit"])
    known: Sequence[Origin | None] = origins or [None] * len(values)
    cells = [
        number_cell(value, about["unit"], decimals, spread=spread, origin=origin)
        for value, spread, origin in zip(values, spreads, known, strict=True)
    ]
    return Column(
        heading=about["label"],
        cells=tuple(cells),
        unit=about["unit"],
        larger_is_better=about["larger_is_better"],
    )


def _counts(heading: str, values: pd.Series) -> Column:
    return Column(heading=heading, cells=tuple(map(count_cell, values)))


def _line(row: SeededRow, metrics: Sequence[str]) -> dict[str, Any]:
    first = row.first
    line: dict[str, Any] = {
        "row": row.title,
        "kind": row.kind,
        "seeds": len(row.versions),
        "style_input": first.style_input,
        "parameters": first.parameters,
        "train_steps": first.train_steps,
        "N": first.num_images,
    }
    for metric in metrics:
        summary = row.summary(metric)
        line |= {metric: summary.mean, f"{metric}_spread": summary.spread}
    return line


def _ranked(rows: Sequence[SeededRow], metrics: dict[str, dict[str, Any]]) -> list[SeededRow]:
    """Bounds as they are, models from best to worst in the first metric, without value last."""
    if not metrics:
        return list(rows)
    first, about = next(iter(metrics.items()))

    def place(row: SeededRow) -> tuple[bool, float]:
        mean = row.summary(first).mean
        return mean != mean, -mean if about["larger_is_better"] else mean

    bounds = [row for row in rows if row.versions[0].is_reference]
    return [*bounds, *sorted((row for row in rows if row not in bounds), key=place)]


def _notes(rows: Sequence[SeededRow]) -> list[str]:
    """Footnotes of the rows that are shown, each seed being one of them."""
    return ["± is the sample standard deviation over seeds.", *seeded_notes(rows)]
