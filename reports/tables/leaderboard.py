# SPDX-License-Identifier: Apache-2.0
"""One ranking per protocol over many runs: mean and spread over seeds, best mIoU first.

Runs of different protocols never share a column; where several are given, each has a table of its
own and a line says in what they differ.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from spade_eval.reports.measured.grouping import ProtocolGroup, ProtocolKey
from spade_eval.reports.measured.provenance import Origin
from spade_eval.reports.measured.row_facts import REAL_MIOU, ROW_FACTS, real_miou
from spade_eval.reports.measured.seeds import (
    SeededRow,
    metrics_of,
    seeded_notes,
    seeded_rows,
    spread_notes,
    warnings_of_seeds,
)
from spade_eval.reports.statistics.over_seeds import (
    ImageIntervals,
    SeedResults,
    results_of,
)
from spade_eval.reports.tables.seed_columns import intervals_of, seed_columns, shown_over_seeds
from spade_eval.reports.tables.table import (
    ABSENT,
    Column,
    Table,
    count_cell,
    millions_cell,
    name_column,
    rules_between,
)


def leaderboard(group: ProtocolGroup, run_folders: Sequence[Path] = ()) -> pd.DataFrame:
    """Return a row for each source, its seeds together: `<metric>`, `<metric>_spread`, as recorded.

    Bounds first, then models by their first metric. `<metric>_best` says that no other row is shown
    to be better, over seeds; intervals over images need what the `run_folders` keep.
    """
    rows = seeded_rows(group)
    metrics = metrics_of(rows)
    rows = _ranked(rows, metrics)
    models = {row.title: row for row in rows if row.competes}
    results = results_of(models, metrics, rows)
    images = ImageIntervals(run_folders)
    frame = pd.DataFrame([_line(row, results, images) for row in rows])
    whole = ("seeds", "parameters", "train_steps", "N")
    frame = frame.astype(dict.fromkeys(whole, "Int64"))
    firsts = [row.first for row in rows]
    for fact in ROW_FACTS:
        frame[fact.name] = fact.column(firsts)
    frame[REAL_MIOU] = pd.Series([real_miou(group.rows)] * len(rows), dtype="float64")
    frame.attrs = {
        "metrics": metrics,
        "title": f"Leaderboard: {group.title}",
        "shown": shown_over_seeds(results, metrics),
        "results": results,
        "facts": {
            fact.title: [fact.shown(item) or ABSENT for item in firsts]
            for fact in ROW_FACTS
            if fact.is_shown(firsts)
        },
        "origins": {name: [_origin(row, name) for row in rows] for name in metrics},
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
    """Lay out a `leaderboard` with spreads, both intervals and marks."""
    kinds = board["kind"].tolist()
    columns = [name_column(name, board[name].tolist()) for name in ("row", "kind")]
    columns.append(_counts("seeds", board["seeds"]))
    if board["style_input"].notna().any():
        shown = [str(value) if pd.notna(value) else ABSENT for value in board["style_input"]]
        columns.append(name_column("style input", shown))
    columns += [name_column(title, shown) for title, shown in board.attrs["facts"].items()]
    parameters = tuple(map(millions_cell, board["parameters"]))
    columns.append(Column(heading="parameters", cells=parameters))
    columns.append(_counts("steps", board["train_steps"]))
    origins = board.attrs["origins"]
    for name in board.attrs["metrics"]:
        columns += seed_columns(board, name, origins[name])
    return Table(
        title=board.attrs["title"],
        columns=tuple(columns),
        kinds=tuple(kinds),
        rules=rules_between(kinds),
        warnings=tuple(board.attrs["warnings"]),
        shown=board.attrs["shown"],
        notes=tuple(board.attrs["notes"]),
        frame=board,
    )


def _counts(heading: str, values: pd.Series) -> Column:
    return Column(heading=heading, cells=tuple(map(count_cell, values)))


def _origin(row: SeededRow, metric: str) -> Origin:
    """Return the records of all seeds behind a mean."""
    items = [version.scores.get(metric) for version in row.versions]
    return Origin(records=tuple(item for item in items if item is not None))


def _line(
    row: SeededRow, results: Mapping[str, SeedResults], images: ImageIntervals
) -> dict[str, Any]:
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
    for metric, found in results.items():
        summary = row.summary(metric)
        line |= {metric: summary.mean, f"{metric}_spread": summary.spread}
        line |= intervals_of(row, metric, images)
        line[f"{metric}_best"] = row.title in found.standing.marked
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
    return [*spread_notes(rows), *seeded_notes(rows)]
