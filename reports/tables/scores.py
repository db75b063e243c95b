# SPDX-License-Identifier: Apache-2.0
"""Scores as frames, as they were measured: fractions at full precision.

One frame holds one protocol (see `measured/grouping.py`).
"""

import json
from collections.abc import Mapping, Sequence

import pandas as pd

from spade_eval.metrics.draws import MEAN, base_of, column_over, draw_name, over_of
from spade_eval.records import Measurement
from spade_eval.reports.measured.counts import draws_of
from spade_eval.reports.measured.grouping import (
    ProtocolGroup,
    Row,
    metric_names,
    value_of,
)
from spade_eval.reports.measured.row_facts import REAL_MIOU, ROW_FACTS, real_miou
from spade_eval.reports.measured.seeds import summary

ROW_COLUMNS = (
    "source",
    "kind",
    "style_input",
    *(fact.name for fact in ROW_FACTS),
    "parameters",
    "train_steps",
    "trainings",
    "N",
    "N_real",
    "until",
    "weights",
    "seconds",
    "images_per_second",
)
# Scores by a segmenter without real weights mean nothing, so each row says it.
_MEANINGLESS = ("filled", "random")
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


def scores_table(group: ProtocolGroup) -> pd.DataFrame:
    """Return a row a source, a column a metric; fractions in [0, 1], NaN where there is no value.

    Label, unit and direction of each metric are in `attrs["metrics"]`.
    """
    return _scores_frame(group.rows)


def per_class_table(group: ProtocolGroup) -> pd.DataFrame:
    """Return IoU in [0, 1], classes (in order of appearance) x sources; NaN outside the average."""
    table_rows = [row for row in group.rows if row.class_iou]
    classes = list(dict.fromkeys(name for row in table_rows for name in row.class_iou))
    columns = {
        row.title: [value_of(row.class_iou.get(name)) for name in classes] for row in table_rows
    }
    return pd.DataFrame(columns, index=pd.Index(classes, name="class"), dtype="float64")


def _scores_frame(table_rows: Sequence[Row]) -> pd.DataFrame:
    firsts = [row.measurements[0] for row in table_rows]
    table = pd.DataFrame(
        {
            "source": pd.Series([row.source for row in table_rows], dtype="object"),
            "kind": pd.Series([row.kind for row in table_rows], dtype="object"),
            # Nullable integers, so that a missing count does not turn the others into floats.
            "style_input": pd.Series([item.style_input for item in firsts], dtype="object"),
            **{fact.name: fact.column(firsts) for fact in ROW_FACTS},
            "parameters": pd.array([item.parameters for item in firsts], dtype="Int64"),
            "train_steps": pd.array([item.train_steps for item in firsts], dtype="Int64"),
            "trainings": pd.array([_trainings(row) for row in table_rows], dtype="Int64"),
            "N": pd.array([item.num_images for item in firsts], dtype="Int64"),
            "N_real": pd.array([_num_real(row) for row in table_rows], dtype="Int64"),
            "until": pd.Series([row.until for row in table_rows], dtype="object"),
            "weights": pd.Series([_shown_weights(item) for item in firsts], dtype="object"),
            "seconds": pd.Series([_seconds(row) for row in table_rows], dtype="float64"),
            "images_per_second": pd.Series(
                [item.images_per_second for item in firsts], dtype="float64"
            ),
        }
    )
    if table["num_draws"].isna().all():  # one image a label map, as nearly always
        del table["num_draws"]
    metrics = {}
    for name in metric_names(table_rows):
        values = [value_of(row.scores.get(name)) for row in table_rows]
        table[name] = pd.Series(values, dtype="float64")
        if over_of(name) == MEAN:
            spreads = [spread_over_draws(row, name) for row in table_rows]
            table[f"{name}_spread"] = pd.Series(spreads, dtype="float64")
        about = next(row.scores[name] for row in table_rows if name in row.scores)
        metrics[name] = {
            "label": about.label,
            "unit": about.unit,
            "larger_is_better": about.larger_is_better,
        }
    table.attrs["metrics"] = metrics
    return table


def spread_over_draws(row: Row, metric: str) -> float:
    """Return the sample standard deviation behind a mean of draws; NaN where there is none."""
    if metric not in row.scores:
        return float("nan")
    base = base_of(metric)
    names = [base, *(column_over(base, draw_name(k)) for k in draws_of(row.scores[metric])[1:])]
    return summary(value_of(row.scores.get(name)) for name in names).spread


def _trainings(row: Row) -> int | None:
    """One for a generator whose training is known, and never more: seeds are rows of their own."""
    return 1 if row.is_trained else None


def _num_real(row: Row) -> int | None:
    """Photos on the other side of a distance."""
    counts = {item.num_reference_images for item in row.measurements} - {None}
    return counts.pop() if len(counts) == 1 else None


def _seconds(row: Row) -> float:
    """Sum the seconds of the row's jobs; one that trained its model holds the training too."""
    return sum({item.job_sha256: item.seconds for item in row.measurements}.values())


def _shown_weights(item: Measurement) -> str | None:
    weights = item.segmenter_weights
    return f"weights: {weights}" if weights in _MEANINGLESS else None


def provenance_frame(table_rows: Sequence[Row]) -> pd.DataFrame:
    """Return what was recorded with the scores, and the mIoU of the photos beside them."""
    texts = {
        name: pd.Series([_provenance(row, name) for row in table_rows], dtype="object")
        for name in _PROVENANCE
    }
    photos = pd.Series([real_miou(table_rows)] * len(table_rows), dtype="float64")
    return pd.DataFrame({**texts, REAL_MIOU: photos})


def _provenance(row: Row, name: str) -> str:
    """Return the value that a row's measurements share; where they differ, all of them."""
    texts: dict[str, None] = {}
    for measurement in row.measurements:
        value = getattr(measurement, name)
        values = value if isinstance(value, tuple) else (value,)
        texts |= dict.fromkeys(_text(item) for item in values if item is not None)
    return " | ".join(texts)


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True) if isinstance(value, Mapping) else str(value)
