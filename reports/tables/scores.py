# SPDX-License-Identifier: Apache-2.0
"""Tables of scores as pandas frames, as text and as CSV.

Frames and CSV files hold what was measured: fractions at full precision. Only the printed text
multiplies fractions by 100 and rounds. One table holds one protocol (see `measured/grouping.py`).
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from spade_eval.records import Measurement
from spade_eval.reports.measured.grouping import (
    ProtocolGroup,
    Row,
    metric_names,
    shortened,
    value_of,
)
from spade_eval.reports.tables.formats import as_text
from spade_eval.reports.tables.printed import (
    ABSENT,
    Printed,
    millions,
    name_column,
    number_column,
    rounded,
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


def scores_table(group: ProtocolGroup) -> pd.DataFrame:
    """One row a source, one column a metric; fractions in [0, 1], NaN where there is no value.

    Label, unit and direction of each metric are in `attrs["metrics"]`, where `printed_table` finds
    them.
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


def printed_table(table: pd.DataFrame) -> str:
    """Fixed-width text of a `scores_table`: fractions times 100, "-" where there is no value.

    An asterisk marks the best model of a column (bounds do not compete, and one model alone is
    not marked); a rule sets the bounds off from the models.
    """
    return as_text(printed_scores(table))


def printed_scores(
    table: pd.DataFrame, title: str = "", notes: Sequence[str] = (), *, speed: bool = False
) -> Printed:
    """A `scores_table` as it is printed; columns of facts that no row has are left out."""
    kinds = table["kind"].tolist()
    shown = [name for name in _ROW_COLUMNS if speed or name not in _SPEED]
    facts = [name for name in shown if name == "source" or _is_informative(table, name)]
    columns = [
        name_column(
            _PRINTED_NAMES.get(name, name),
            [_fact(name, value) for value in table[name]],
            is_name=name in _NAMES,
        )
        for name in facts
    ]
    columns += [
        number_column(
            about["label"],
            table[name].tolist(),
            unit=about["unit"],
            larger_is_better=about["larger_is_better"],
            kinds=kinds,
        )
        for name, about in table.attrs["metrics"].items()
    ]
    return Printed(
        title=title, columns=tuple(columns), rules=rules_between(kinds), notes=tuple(notes)
    )


def printed_classes(classes: pd.DataFrame, title: str) -> Printed:
    """A `per_class_table`, classes down and sources across; no marks."""
    columns = [name_column(str(classes.index.name), [str(name) for name in classes.index])]
    columns += [
        name_column(name, [rounded(100 * value, 2) for value in classes[name]], is_name=False)
        for name in classes.columns
    ]
    return Printed(title=title, columns=tuple(columns))


def write_tables(group: ProtocolGroup, folder: Path) -> list[Path]:
    """Write `scores` (with provenance) and `per_class_iou` in every form; return their paths."""
    table = scores_table(group)
    scores = pd.concat([table, _provenance_frame(group.rows)], axis="columns")
    printed = printed_scores(table, group.title, group.notes, speed=True)
    paths = write_forms(scores, printed, folder, "scores")
    classes = per_class_table(group)
    if len(classes):
        by_class = printed_classes(classes, f"IoU by class, %: {group.title}")
        paths += write_forms(classes, by_class, folder, "per_class_iou")
    return paths


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
    found = {item.num_reference_images for item in row.measurements} - {None}
    return found.pop() if len(found) == 1 else None


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
    found: dict[str, None] = {}
    for measurement in row.measurements:
        value = getattr(measurement, name)
        values = value if isinstance(value, tuple) else (value,)
        found |= dict.fromkeys(_text(item) for item in values if item is not None)
    return " | ".join(found)


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True) if isinstance(value, Mapping) else str(value)


def _is_informative(table: pd.DataFrame, name: str) -> bool:
    """Whether a column of facts says anything; equal numbers of images say it once."""
    if name == "N_real":
        return bool((table["N_real"].notna() & (table["N_real"] != table["N"])).any())
    return bool(table[name].notna().any())


def _fact(name: str, value: Any) -> str:
    if name == "parameters":
        return millions(value)
    if pd.isna(value):
        return ABSENT
    if name in _SPEED:
        return f"{value:.1f}"
    return shortened(str(value), _LONGEST_NAME)
