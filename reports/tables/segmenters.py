# SPDX-License-Identifier: Apache-2.0
"""The segmenter question as tables: mIoU by each, agreement of rankings, shares of the variance."""

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from spade_eval.reports.measured.failures import warnings_of
from spade_eval.reports.measured.grouping import value_of
from spade_eval.reports.measured.panels import Panel
from spade_eval.reports.measured.provenance import Origin
from spade_eval.reports.statistics.intervals import Uncertainty
from spade_eval.reports.statistics.segmenter_agreement import FEWEST, Agreement
from spade_eval.reports.statistics.segmenter_question import SegmenterAnswer
from spade_eval.reports.statistics.standings import NOTHING_TESTED
from spade_eval.reports.statistics.variance_shares import REST
from spade_eval.reports.tables.table import (
    Cell,
    Column,
    Table,
    count_cell,
    marked_column,
    name_column,
    number_cell,
    rounded,
    rules_between,
)


def miou_table(panel: Panel, known: Sequence[Uncertainty]) -> Table:
    """Lay out mIoU, a column a segmenter; each marks for itself, one that fails marks none."""
    firsts = [row[0] for row in panel.rows]
    kinds = [row.kind for row in firsts]
    columns = [
        name_column("source", [row.title for row in firsts]), name_column("kind", kinds)
    ]  # fmt: skip
    frame: dict[str, Sequence[object]] = {"source": [row.title for row in firsts], "kind": kinds}
    for place, segmenter in enumerate(panel.segmenters):
        items = [row[place].scores.get("miou") for row in panel.rows]
        cells = [
            Cell() if item is None else number_cell(item.value, "%", origin=Origin(records=(item,)))
            for item in items
        ]
        column = Column(
            heading=f"mIoU, {segmenter}", cells=tuple(cells), unit="%", larger_is_better=True
        )
        marked = known[place].standings.get("miou", NOTHING_TESTED).marked
        columns.append(marked_column(column, [row.title in marked for row in firsts]))
        frame[f"miou {segmenter}"] = [value_of(item) for item in items]
    return Table(
        title=f"mIoU by segmenter: {panel.title}",
        columns=tuple(columns),
        kinds=tuple(kinds),
        rules=rules_between(kinds),
        warnings=_warnings(panel),
        notes=(
            "One protocol a segmenter: columns are ranked apart and never compared as numbers.",
        ),
        frame=pd.DataFrame(frame),
    )


def agreement_table(answer: SegmenterAnswer, labels: Mapping[str, str]) -> Table:
    """Lay out Kendall's tau of each pair of segmenters and metric, with its interval."""
    items = answer.agreements
    return Table(
        title="Agreement of rankings",
        columns=(
            name_column("segmenter", [item.first for item in items]),
            name_column("against", [item.second for item in items]),
            name_column("metric", [labels.get(item.metric, item.metric) for item in items]),
            Column(heading="models", cells=tuple(count_cell(item.num_models) for item in items)),
            Column(
                heading="Kendall's tau",
                cells=tuple(number_cell(item.tau, "", 2) for item in items),
            ),
            Column(heading="95% interval", cells=tuple(_ends(item) for item in items)),
        ),
        notes=tuple(agreement_notes(answer, labels)),
        frame=pd.DataFrame([vars(item) for item in items]),
    )


def share_table(answer: SegmenterAnswer, num_segmenters: int) -> Table:
    """Lay out what the IoU of a class in an image varies with."""
    names = list(answer.shares)
    return Table(
        title="Shares of the variance of IoU by image and class",
        columns=(
            name_column("varies with", names),
            Column(
                heading="share",
                unit="%",
                cells=tuple(number_cell(answer.shares[name], "%", 1) for name in names),
            ),
        ),
        notes=(
            f"{len(answer.models)} generators and {num_segmenters} segmenters: the shares of both "
            f"rest on {len(answer.models) - 1} and {num_segmenters - 1} degrees of freedom. "
            f"generator x segmenter is what changes a ranking; {REST} holds all other pairs. What "
            "is estimated below 0 is shown as 0.",
        ),
        frame=pd.DataFrame({"factor": names, "share": [answer.shares[name] for name in names]}),
    )


def agreement_notes(answer: SegmenterAnswer, labels: Mapping[str, str]) -> list[str]:
    """Say of what the intervals are, and which rankings differ."""
    notes = [
        f"Of {', '.join(answer.models)}, over label maps (paired bootstrap); one training each."
    ]
    by_pair: dict[tuple[str, str], list[str]] = {}
    for item in answer.agreements:
        if item.tau < 1:
            said = f"tau {rounded(item.tau, 2)} by {labels.get(item.metric, item.metric)}"
            by_pair.setdefault((item.first, item.second), []).append(said)
    if not by_pair:
        notes.append("All segmenters rank them alike.")
    notes += [
        f"{first} and {second} rank them otherwise: {', '.join(said)}."
        for (first, second), said in by_pair.items()
    ]
    return notes


def segmenter_tables(
    panel: Panel, answer: SegmenterAnswer, known: Sequence[Uncertainty]
) -> list[Table]:
    """Return all that can be told of a panel."""
    labels = {name: item.label for row in panel.rows for name, item in row[0].scores.items()}
    tables = [miou_table(panel, known)]
    tables += [agreement_table(answer, labels)] if answer.agreements else []
    tables += [share_table(answer, len(panel.groups))] if answer.shares else []
    return tables


def too_few(answer: SegmenterAnswer) -> str:
    """Say why rankings were not compared; nothing where they were."""
    if answer.agreements:
        return ""
    return (
        f"Rankings of segmenters are compared from {FEWEST} models on, with per-image counts: here "
        f"are {len(answer.models)}."
    )


def _ends(item: Agreement) -> Cell:
    if math.isnan(item.low):
        return Cell()
    return Cell(text=f"[{rounded(item.low, 2)}, {rounded(item.high, 2)}]")


def _warnings(panel: Panel) -> tuple[str, ...]:
    found: list[str] = []
    for segmenter, group in zip(panel.segmenters, panel.groups, strict=True):
        found += [f"{segmenter}: {warning}" for warning in warnings_of(group.rows)]
    return tuple(found)
