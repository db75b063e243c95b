# SPDX-License-Identifier: Apache-2.0
"""Tables of scores as pandas frames, as text and as CSV.

Frames and CSV files hold what was measured: fractions at full precision. Only the printed text
multiplies fractions by 100 and rounds. One table holds one protocol (see `reports.grouping`).
"""

import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from reports.files import written_whole
from reports.grouping import (
    REFERENCE_KINDS,
    ProtocolKey,
    Row,
    by_protocol,
    footnotes,
    metric_names,
    rows,
    shortened,
    value_of,
)
from spade_eval.records import Measurement

__all__ = [
    "footnotes",
    "per_class_table",
    "printed_table",
    "scores_table",
    "tables_by_protocol",
    "write_tables",
]

_ROW_COLUMNS = ("source", "kind", "parameters", "train_steps", "N", "weights")
# Scores by a segmenter without real weights mean nothing, so each row says it.
_MEANINGLESS = ("filled", "random")
_PRINTED_NAMES = {"train_steps": "steps"}
_PROVENANCE = (
    "dataset",
    "dataset_sha256",
    "split",
    "height",
    "width",
    "profile",
    "protocol_version",
    "protocol_sha256",
    "segmenter",
    "segmenter_sha256",
    "segmenter_weights",
    "features",
    "features_sha256",
    "fid_profile",
    "num_samples",
    "reference_sha256",
    "num_reference_images",
    "source_sha256",
    "seed",
    "train_batch_size",
    "train_config_sha256",
    "checkpoint_rule",
    "job_sha256",
    "device",
    "started",
    "seconds",
    "commit",
    "commit_clean",
    "versions",
    "platform",
    "notes",
)
_LONGEST_NAME = 32
_HEADING_WIDTH = 12


def scores_table(measurements: Iterable[Measurement]) -> pd.DataFrame:
    """One row a source, one column a metric; fractions in [0, 1], NaN where there is no value.

    `ValueError` if the measurements belong to more than one protocol. Label, unit and direction of
    each metric are in `attrs["metrics"]`, where `printed_table` finds them.
    """
    return _scores_frame(rows(measurements))


def tables_by_protocol(measurements: Iterable[Measurement]) -> dict[ProtocolKey, pd.DataFrame]:
    """`scores_table` of every protocol that occurs, in order of first appearance."""
    return {key: scores_table(group) for key, group in by_protocol(measurements).items()}


def per_class_table(measurements: Iterable[Measurement]) -> pd.DataFrame:
    """IoU in [0, 1], classes (index, in order of appearance) x sources; NaN outside the average."""
    table_rows = [row for row in rows(measurements) if row.class_iou]
    classes = list(dict.fromkeys(name for row in table_rows for name in row.class_iou))
    columns = {
        row.title: [value_of(row.class_iou.get(name)) for name in classes] for row in table_rows
    }
    return pd.DataFrame(columns, index=pd.Index(classes, name="class"), dtype="float64")


def printed_table(table: pd.DataFrame) -> str:
    """Fixed-width text of a `scores_table`: fractions times 100, "-" where there is no value.

    An asterisk marks the best model of a column (real and oracle do not compete, and one model
    alone is not marked); a rule sets real and oracle off from the models.
    """
    metrics: Mapping[str, Mapping[str, Any]] = table.attrs["metrics"]
    facts = [name for name in _ROW_COLUMNS if name == "source" or table[name].notna().any()]
    columns = [_fact_column(table, name) for name in facts]
    columns += [_metric_column(table, name, about) for name, about in metrics.items()]
    height = max(len(heading) for heading, _ in columns)
    padded = [([""] * (height - len(heading)) + heading, cells) for heading, cells in columns]
    widths = [max(map(len, [*heading, *cells])) for heading, cells in padded]
    lines = [
        _line([heading[index] for heading, _ in padded], widths, facts) for index in range(height)
    ]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    previous = True
    lines.append(rule)
    for index, kind in enumerate(table["kind"]):
        is_reference = kind in REFERENCE_KINDS
        if index and previous and not is_reference:
            lines.append(rule)
        lines.append(_line([cells[index] for _, cells in padded], widths, facts))
        previous = is_reference
    return "\n".join(line.rstrip() for line in lines)


def write_tables(measurements: Iterable[Measurement], folder: Path) -> list[Path]:
    """Write `scores.csv` (with provenance) and `per_class_iou.csv`; return their paths.

    A metric of one protocol is one column of one file, so `ValueError` for several protocols.
    """
    measurements = list(measurements)
    table_rows = rows(measurements)
    scores = pd.concat([_scores_frame(table_rows), _provenance_frame(table_rows)], axis="columns")
    paths = [_write_csv(scores, folder / "scores.csv", index=False)]
    classes = per_class_table(measurements)
    if len(classes):
        paths.append(_write_csv(classes, folder / "per_class_iou.csv", index=True))
    return paths


def _scores_frame(table_rows: Sequence[Row]) -> pd.DataFrame:
    firsts = [row.measurements[0] for row in table_rows]
    table = pd.DataFrame(
        {
            "source": pd.Series([row.source for row in table_rows], dtype="object"),
            "kind": pd.Series([row.kind for row in table_rows], dtype="object"),
            # Nullable integers, so that a missing count does not turn the others into floats.
            "parameters": pd.array([item.parameters for item in firsts], dtype="Int64"),
            "train_steps": pd.array([item.train_steps for item in firsts], dtype="Int64"),
            "N": pd.array([item.num_images for item in firsts], dtype="Int64"),
            "weights": pd.Series([_shown_weights(item) for item in firsts], dtype="object"),
        }
    )
    metrics = {}
    for name in metric_names(table_rows):
        values = [value_of(row.scores.get(name)) for row in table_rows]
        table[name] = pd.Series(values, dtype="float64")
        about = next(row.scores[name] for row in table_rows if name in row.scores)
        metrics[name] = {
            "label": about.label,
            "unit": about.unit,
            "larger_is_better": about.larger_is_better,
        }
    table.attrs["metrics"] = metrics
    return table


def _shown_weights(item: Measurement) -> str | None:
    weights = item.segmenter_weights
    return f"weights: {weights}" if weights in _MEANINGLESS else None


def _provenance_frame(table_rows: Sequence[Row]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            name: pd.Series([_provenance(row, name) for row in table_rows], dtype="object")
            for name in _PROVENANCE
        }
    )


def _provenance(row: Row, name: str) -> str:
    """The value that a row's measurements share; where they differ, all of them."""
    found: dict[str, None] = {}
    for measurement in row.measurements:
        value = getattr(measurement, name)
        values = value if isinstance(value, tuple) else (value,)
        found |= dict.fromkeys(_text(item) for item in values if item is not None)
    return " | ".join(found)


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True) if isinstance(value, Mapping) else str(value)


def _write_csv(table: pd.DataFrame, path: Path, index: bool) -> Path:
    with written_whole(path) as temporary:
        table.to_csv(temporary, index=index, encoding="utf-8")
    return path


def _fact_column(table: pd.DataFrame, name: str) -> tuple[list[str], list[str]]:
    cells = [_fact(name, value) for value in table[name]]
    return [_PRINTED_NAMES.get(name, name)], cells


def _fact(name: str, value: Any) -> str:
    if pd.isna(value):
        return "-"
    if name == "parameters":
        return f"{value / 1e6:.2f}M"
    return shortened(str(value), _LONGEST_NAME)


def _metric_column(
    table: pd.DataFrame, name: str, about: Mapping[str, Any]
) -> tuple[list[str], list[str]]:
    """Heading lines and cells; a place is kept for the mark in every cell, so that digits align."""
    heading = textwrap.wrap(
        about["label"], _HEADING_WIDTH, break_long_words=False, break_on_hyphens=False
    )
    arrow = "↑" if about["larger_is_better"] else "↓"
    heading = [*heading, f"{about['unit']} {arrow}".strip()]
    numbers = table[name] * (100 if about["unit"] == "%" else 1)
    # Distances in a small feature space can be far below 1; two decimals would print them as 0.
    decimals = 4 if about["unit"] != "%" and numbers.abs().max() < 1 else 2
    best = _best(table, name, about["larger_is_better"])
    cells = ["-" if pd.isna(number) else f"{number:.{decimals}f}" for number in numbers]
    marked = [
        cell + ("*" if value == best and kind not in REFERENCE_KINDS else " ")
        for cell, value, kind in zip(cells, table[name], table["kind"], strict=True)
    ]
    return [f"{line} " for line in heading], marked


def _best(table: pd.DataFrame, name: str, larger_is_better: bool) -> float | None:
    competing = table.loc[~table["kind"].isin(REFERENCE_KINDS), name].dropna()
    if len(competing) < 2:
        return None
    return float(competing.max() if larger_is_better else competing.min())


def _line(cells: Sequence[str], widths: Sequence[int], facts: Sequence[str]) -> str:
    """Names flush left, numbers flush right."""
    return "  ".join(
        cell.ljust(width)
        if index < len(facts) and facts[index] in ("source", "kind")
        else cell.rjust(width)
        for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
