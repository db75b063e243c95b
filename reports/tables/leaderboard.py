# SPDX-License-Identifier: Apache-2.0
"""One ranking per protocol over many runs: mean and spread over seeds, best mIoU first.

Runs of different protocols never share a column; where several are given, each has a table of its
own and a line says in what they differ.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from spade_eval.reports.measured.grouping import (
    ProtocolGroup,
    ProtocolKey,
    footnotes,
    rows_of,
)
from spade_eval.reports.measured.seeds import SeededRow, metrics_of, seeded_rows
from spade_eval.reports.tables.printed import (
    Printed,
    count_text,
    millions,
    name_column,
    number_column,
    rules_between,
)

FACTS = ("row", "kind", "seeds", "style_input", "parameters", "train_steps", "N")


def leaderboard(group: ProtocolGroup) -> pd.DataFrame:
    """One row a source, its seeds together: `<metric>` and `<metric>_spread`, as recorded.

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
        "notes": _notes(group),
    }
    return frame


def different(keys: Sequence[ProtocolKey]) -> str:
    """In what protocols differ, for a reader: the fields that are not the same in all."""
    parts = []
    for field in ProtocolKey._fields:
        values = list(dict.fromkeys(getattr(key, field) for key in keys))
        if len(values) > 1:
            shown = [str(value)[:8] if field.endswith("sha256") else str(value) for value in values]
            parts.append(f"{field.replace('_', ' ')} ({', '.join(shown)})")
    return f"{len(keys)} protocols that differ in {', '.join(parts)}"


def printed_leaderboard(table: pd.DataFrame) -> Printed:
    """A `leaderboard` with spreads, best and second marked."""
    kinds = table["kind"].tolist()
    columns = [name_column(name, table[name].tolist()) for name in ("row", "kind")]
    columns.append(name_column("seeds", [count_text(v) for v in table["seeds"]], is_name=False))
    if table["style_input"].notna().any():
        shown = [str(value) if pd.notna(value) else "-" for value in table["style_input"]]
        columns.append(name_column("style input", shown))
    columns.append(
        name_column("parameters", [millions(v) for v in table["parameters"]], is_name=False)
    )
    steps = [count_text(value) for value in table["train_steps"]]
    columns.append(name_column("steps", steps, is_name=False))
    columns += [
        number_column(
            about["label"],
            table[name].tolist(),
            unit=about["unit"],
            larger_is_better=about["larger_is_better"],
            kinds=kinds,
            spreads=table[f"{name}_spread"].tolist(),
        )
        for name, about in table.attrs["metrics"].items()
    ]
    return Printed(
        title=table.attrs["title"],
        columns=tuple(columns),
        rules=rules_between(kinds),
        notes=tuple(table.attrs["notes"]),
    )


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


def _notes(group: ProtocolGroup) -> list[str]:
    """Footnotes of the rows that are shown, each seed being one of them."""
    notes: dict[str, None] = {}
    for seed in dict.fromkeys(item.seed for item in group.measurements):
        of_seed = rows_of(item for item in group.measurements if item.seed == seed)
        notes |= dict.fromkeys(footnotes(of_seed))
    return ["± is the sample standard deviation over seeds.", *notes]
