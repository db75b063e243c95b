# SPDX-License-Identifier: Apache-2.0
"""Tables of scores: frames of what was measured, and how they are shown.

Frames hold fractions at full precision. One table holds one protocol (see `measured/grouping.py`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from spade_eval.records import Measurement
from spade_eval.reports.measured.grouping import (
    ProtocolGroup,
    Row,
    metric_names,
    value_of,
)
from spade_eval.reports.measured.provenance import Origin
from spade_eval.reports.statistics.intervals import Interval
from spade_eval.reports.tables.table import (
    EVERYWHERE,
    Cell,
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
from spade_eval.reports.tables.writing import write_forms

_ROW_COLUMNS = (
    "source",
    "kind",
    "style_input",
    "parameters",
    "train_steps",
    "N",
    "N_real",
    "weights",
    "seconds",
    "images_per_second",
)
_NAMES = ("source", "kind", "style_input")  # flush left
_SPEED = ("seconds", "images_per_second")  # of the whole job, of the generator; in files only
# Scores by a segmenter without real weights mean nothing, so each row says it.
_MEANINGLESS = ("filled", "random")
_PRINTED_NAMES = {
    "train_steps": "steps",
    "style_input": "style input",
    "N_real": "N real",
    "seconds": "job, s",
    "images_per_second": "images/s",
}
# Facts that are numbers of one record each.
_EXPLANATIONS = {
    "parameters": "parameters of the generator, in millions",
    "train_steps": "optimisation steps of the generator",
    "N": "images scored",
    "N_real": "photos compared with",
}
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
    "source_sha256",
    "seed",
    "train_batch_size",
    "train_config_sha256",
    "checkpoint_rule",
    "job_sha256",
    "device",
    "started",
    "commit",
    "commit_clean",
    "versions",
    "platform",
    "notes",
)
_LONGEST_NAME = 32
_MARKS = "abcdefghijklmnopqrstuvwxyz"
Ends = Mapping[tuple[str, str], Interval]


def scores_table(group: ProtocolGroup) -> pd.DataFrame:
    """One row a source, one column a metric; fractions in [0, 1], NaN where there is no value.

    Label, unit and direction of each metric are in `attrs["metrics"]`.
    """
    return _scores_frame(group.rows)


def per_class_table(group: ProtocolGroup) -> pd.DataFrame:
    """IoU in [0, 1], classes (index, in order of appearance) x sources; NaN outside the average."""
    table_rows = [row for row in group.rows if row.class_iou]
    classes = list(dict.fromkeys(name for row in table_rows for name in row.class_iou))
    columns = {
        row.title: [value_of(row.class_iou.get(name)) for name in classes] for row in table_rows
    }
    return pd.DataFrame(columns, index=pd.Index(classes, name="class"), dtype="float64")


def scores(group: ProtocolGroup, intervals: Ends | None = None) -> Table:
    """The scores of a protocol; columns of facts that no row has are left out.

    `intervals` are the ends of (row title, metric), fractions as recorded, for the web page.
    """
    facts, rows = scores_table(group), group.rows
    kinds = facts["kind"].tolist()
    names = [name for name in _ROW_COLUMNS if name == "source" or _is_informative(facts, name)]
    letters = _letters([item for row in rows for item in row.scores.values()])
    columns = [_fact_column(facts, name, rows) for name in names]
    columns += [
        ranked_column(_metric_column(name, rows, intervals or {}, letters), kinds)
        for name in facts.attrs["metrics"]
    ]
    return Table(
        title=group.title,
        columns=tuple(columns),
        kinds=tuple(kinds),
        rules=rules_between(kinds),
        notes=group.notes,
        own_marks=letters,
        frame=pd.concat([facts, _provenance_frame(rows)], axis="columns"),
    )


def classes(group: ProtocolGroup) -> Table:
    """IoU by class, classes down and sources across; no ranks."""
    frame = per_class_table(group)
    names = list(frame.index)
    columns = [name_column(str(frame.index.name), names)]
    for row in (row for row in group.rows if row.class_iou):
        items = [row.class_iou.get(name) for name in names]
        cells = [number_cell(i.value, "%", origin=Origin(records=(i,))) if i else Cell()
                 for i in items]  # fmt: skip
        columns.append(
            Column(heading=row.title, cells=tuple(cells), unit="%", larger_is_better=True)
        )
    return Table(
        title=f"IoU by class, %: {group.title}",
        columns=tuple(columns),
        frame=frame,
        caption='Counts pooled over the split; "-" where the class has no IoU there.',
    )


def write_tables(group: ProtocolGroup, folder: Path) -> list[Path]:
    """Write `scores` (with provenance) and `per_class_iou` in every form; return their paths."""
    paths = write_forms(scores(group), folder, "scores")
    by_class = classes(group)
    return paths + (write_forms(by_class, folder, "per_class_iou") if by_class.num_rows else [])


def _fact_column(facts: pd.DataFrame, name: str, rows: Sequence[Row]) -> Column:
    cells = [
        _fact_cell(name, value, row.measurements[0])
        for value, row in zip(facts[name], rows, strict=True)
    ]
    return Column(
        heading=_PRINTED_NAMES.get(name, name),
        cells=tuple(cells),
        unit="M" if name == "parameters" else "",
        is_name=name in _NAMES,
        longest=_LONGEST_NAME,
        explanation=_EXPLANATIONS.get(name, ""),
        forms=("file",) if name in _SPEED else EVERYWHERE,
    )


def _fact_cell(name: str, value: Any, item: Measurement) -> Cell:
    if pd.isna(value):
        return Cell()
    if name in _SPEED:
        return Cell(text=f"{value:.1f}", value=value)
    if name not in _EXPLANATIONS:
        return Cell(text=str(value))
    origin = Origin(records=(item,), heading=_EXPLANATIONS[name], exact=str(value))
    return (millions_cell if name == "parameters" else count_cell)(value, origin)


def _metric_column(
    name: str, rows: Sequence[Row], ends: Ends, letters: Mapping[str, str]
) -> Column:
    items = [row.scores.get(name) for row in rows]
    about = next(item for item in items if item is not None)
    decimals = decimals_of([item.value for item in items if item is not None], about.unit)
    cells = []
    for row, item in zip(rows, items, strict=True):
        if item is None:
            cells.append(Cell())
            continue
        both = [
            number_cell(end, item.unit, decimals).text for end in ends.get((row.title, name), ())
        ]
        cells.append(
            replace(
                number_cell(item.value, item.unit, decimals, origin=Origin(records=(item,))),
                interval=" to ".join(both),
                marks=" ".join(letters[note] for note in item.notes if note in letters),
            )
        )
    return Column(
        heading=about.label,
        cells=tuple(cells),
        unit=about.unit,
        larger_is_better=about.larger_is_better,
    )


def _letters(items: Sequence[Measurement]) -> dict[str, str]:
    """Letters of the notes that only some numbers carry; the others hold for all."""
    everywhere = set.intersection(*(set(item.notes) for item in items)) if items else set()
    own = dict.fromkeys(note for item in items for note in item.notes if note not in everywhere)
    return {
        note: _MARKS[place] if place < len(_MARKS) else str(place) for place, note in enumerate(own)
    }


def _scores_frame(table_rows: Sequence[Row]) -> pd.DataFrame:
    firsts = [row.measurements[0] for row in table_rows]
    table = pd.DataFrame(
        {
            "source": pd.Series([row.source for row in table_rows], dtype="object"),
            "kind": pd.Series([row.kind for row in table_rows], dtype="object"),
            # Nullable integers, so that a missing count does not turn the others into floats.
            "style_input": pd.Series([item.style_input for item in firsts], dtype="object"),
            "parameters": pd.array([item.parameters for item in firsts], dtype="Int64"),
            "train_steps": pd.array([item.train_steps for item in firsts], dtype="Int64"),
            "N": pd.array([item.num_images for item in firsts], dtype="Int64"),
            "N_real": pd.array([_num_real(row) for row in table_rows], dtype="Int64"),
            "weights": pd.Series([_shown_weights(item) for item in firsts], dtype="object"),
            "seconds": pd.Series([_seconds(row) for row in table_rows], dtype="float64"),
            "images_per_second": pd.Series(
                [item.images_per_second for item in firsts], dtype="float64"
            ),
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


def _num_real(row: Row) -> int | None:
    """Photos on the other side of a distance."""
    counts = {item.num_reference_images for item in row.measurements} - {None}
    return counts.pop() if len(counts) == 1 else None


def _seconds(row: Row) -> float:
    """Of the row's jobs together; one that trained its model holds the training too."""
    return sum({item.job_sha256: item.seconds for item in row.measurements}.values())


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
    texts: dict[str, None] = {}
    for measurement in row.measurements:
        value = getattr(measurement, name)
        values = value if isinstance(value, tuple) else (value,)
        texts |= dict.fromkeys(_text(item) for item in values if item is not None)
    return " | ".join(texts)


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True) if isinstance(value, Mapping) else str(value)


def _is_informative(table: pd.DataFrame, name: str) -> bool:
    """Whether a column of facts says anything; equal numbers of images say it once."""
    if name == "N_real":
        return bool((table["N_real"].notna() & (table["N_real"] != table["N"])).any())
    return bool(table[name].notna().any())
