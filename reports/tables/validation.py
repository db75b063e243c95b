# SPDX-License-Identifier: Apache-2.0
"""Measured coverage of intervals as a table: a line for each metric, row and N."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd

from spade_eval.reports.statistics.validation import IOU, Validated
from spade_eval.reports.tables.table import Cell, Column, Table, count_cell, name_column, rounded

_FEW = 100
_HEADINGS = {
    "coverage": "holds the truth, %",
    "width": "width",
    "verdicts": "verdicts, %",
    "predicted": "predicted, %",
    "false_verdicts": "false verdicts, %",
}


def validation_table(
    items: Sequence[Validated],
    labels: Mapping[str, str],
    class_names: Sequence[str],
    replications: int,
) -> Table:
    """Lay out what was measured; IoU by class as its mean over classes and its worst class."""
    shown = sorted(items, key=lambda item: -item.num_images)
    shown = [item for item in shown if not item.metric.startswith(f"{IOU} ")]
    by_class = classes_frame(items, class_names)
    return Table(
        title="Intervals of 95% against a population whose scores are known",
        columns=(
            Column(heading="N", cells=tuple(count_cell(item.num_images) for item in shown)),
            name_column("metric", [labels.get(item.metric, item.metric) for item in shown]),
            name_column("row", [item.subject for item in shown]),
            *(_numbers(name, [getattr(item, name) for item in shown]) for name in _HEADINGS),
        ),
        notes=(*_about(shown, replications), *_class_notes(by_class)),
        frame=pd.DataFrame([asdict(item) for item in items]),
    )


def classes_frame(items: Sequence[Validated], class_names: Sequence[str]) -> pd.DataFrame:
    """Return a line for each N and class: its coverage, mean over rows."""
    found = pd.DataFrame(
        [
            (item.num_images, class_names[int(item.metric.removeprefix(f"{IOU} "))], item.coverage)
            for item in items
            if item.metric.startswith(f"{IOU} ")
        ],
        columns=["num_images", "class", "coverage"],
    )
    return found.groupby(["num_images", "class"], sort=False, as_index=False).mean()


def _numbers(name: str, values: Sequence[float]) -> Column:
    factor, decimals = (1, 2) if name == "width" else (100, 1)
    cells = [
        Cell()
        if math.isnan(value)
        else Cell(text=rounded(factor * value, decimals), value=factor * value)
        for value in values
    ]
    return Column(heading=_HEADINGS[name], cells=tuple(cells))


def _about(items: Sequence[Validated], replications: int) -> list[str]:
    error = 100 * math.sqrt(0.95 * 0.05 / replications)
    notes = [
        f"{replications} replications: a share of 95% is known to {error:.1f} points, one standard "
        "error. Width: the mean interval over 3.92 standard deviations of the estimate.",
        "Verdicts: share of intervals of the difference without 0, predicted by the normal law. "
        "False verdicts: the same share where a coin decides for each label map which of the two "
        "rows is which, so that nothing differs.",
    ]
    known = {(item.metric, item.num_images) for item in items if " - " not in item.subject}
    lacking = sorted(
        {item.num_images for item in items if (item.metric, item.num_images) not in known}
    )
    if lacking:
        counts = " and ".join(map(str, lacking))
        notes.append(f"N = {counts}: not more images than features, so the distance of a row is "
                     "not corrected and has no interval.")  # fmt: skip
    return notes


def _class_notes(by_class: pd.DataFrame) -> list[str]:
    notes = []
    for num_images, found in by_class.groupby("num_images", sort=False):
        worst = found.iloc[int(np.argmin(found["coverage"]))]
        trust = (
            " Below N = 100 intervals of rare classes are to be trusted no further than that."
            if int(str(num_images)) < _FEW
            else ""
        )
        notes.append(
            f"N = {num_images}: intervals of the IoU of a class hold it in "
            f"{100 * found['coverage'].mean():.1f}% of the draws that have the class, mean of "
            f"{len(found)} classes; least {100 * worst['coverage']:.1f}% ({worst['class']}).{trust}"
        )
    return notes
