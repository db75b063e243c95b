# SPDX-License-Identifier: Apache-2.0
"""How a paper's table is shown: for each metric the paper's number, ours, the difference."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from spade_eval.papers.tables import PaperTable
from spade_eval.records import Measurement
from spade_eval.reports.measured.grouping import REFERENCE_KINDS
from spade_eval.reports.measured.provenance import Origin
from spade_eval.reports.tables.published import DATASETS, RECALLED
from spade_eval.reports.tables.seed_columns import seed_columns
from spade_eval.reports.tables.table import (
    ABSENT,
    EVERYWHERE,
    Cell,
    Column,
    Form,
    Table,
    count_cell,
    millions_cell,
    name_column,
    number_cell,
)

_RECALLED_MARK = "†"
_PAPER_DECIMALS = 1
_COUNTED = {"counted from": "the records behind this row's scores"}
_COMPUTED = {"computed from": "the measured number minus the published one, in this row"}


def measured_table(frame: pd.DataFrame, measurements: Sequence[Measurement] = ()) -> Table:
    """Lay out a `paper_table`; columns that no row fills are left out.

    `measurements` are those it was made from: the origins of its numbers.
    """
    datasets, kinds = frame["dataset"].tolist(), frame["kind"].tolist()
    several: tuple[Form, ...] = EVERYWHERE if frame["dataset"].nunique() > 1 else ("page",)
    columns = [name_column("dataset", datasets, forms=several)]
    columns.append(name_column("row", frame["row"].tolist()))
    columns += [
        name_column(name, [ABSENT if pd.isna(text) else str(text) for text in frame[name]],
                    forms=("page",))
        for name in ("group", "kind", "model", "profile")
        if (frame[name].fillna("") != "").any()
    ]  # fmt: skip
    columns += [*_parameters(frame), *_costs(frame)]
    if frame["seeds"].max() > 0:
        columns.append(_count_column(frame, "seeds", "measured runs that differ in the seed"))
    if frame["N"].notna().any():
        columns.append(replace(_count_column(frame, "N", "images scored"), forms=("page",)))
    for metric, about in frame.attrs["metrics"].items():
        columns += _metric_columns(frame, metric, about, measurements)
    recalled = [f"{_RECALLED_MARK} {RECALLED}"] if frame["recalled"].any() else []
    return Table(
        title=frame.attrs["title"],
        columns=tuple(columns),
        kinds=tuple(kinds),
        rules=_rules(datasets, frame["group"].tolist(), kinds),
        warnings=tuple(frame.attrs["warnings"]),
        shown=frame.attrs["shown"] if frame["seeds"].max() > 0 else "",
        notes=(*recalled, *frame.attrs["notes"]),
        frame=frame,
    )


def published_table(table: PaperTable, frame: pd.DataFrame) -> Table:
    """Lay out the paper's own table, of no measurements: rows down, datasets across."""
    rows = frame.drop_duplicates(["group", "row"])
    columns = [name_column("row", rows["row"].tolist()), *_parameters(rows)]
    for dataset in dict.fromkeys(frame["dataset"]):
        part = frame[frame["dataset"] == dataset].set_index(["group", "row"], drop=False)
        part = part.reindex(list(zip(rows["group"], rows["row"], strict=True)))
        for metric, about in frame.attrs["metrics"].items():
            if part[f"{metric}_paper"].notna().any():
                heading = f"{DATASETS.get(dataset, dataset)} {about['label']}"
                columns.append(_paper_column(heading, part, metric, about))
    groups = rows["group"].tolist()
    return Table(
        title=f"{table.paper.authors}, {table.name}, as printed",
        columns=tuple(columns),
        rules=_rules([""] * len(groups), groups, [""] * len(groups)),
        notes=(f"{_RECALLED_MARK} {RECALLED}",) if frame["recalled"].any() else (),
        frame=frame,
    )


def _metric_columns(
    frame: pd.DataFrame,
    metric: str,
    about: Mapping[str, Any],
    measurements: Sequence[Measurement],
) -> list[Column]:
    label, columns = about["label"], []
    if frame[f"{metric}_paper"].notna().any():
        columns.append(_paper_column(f"{label} paper", frame, metric, about))
    if frame[metric].notna().any():
        origins = [Origin(records=_records(row, metric, measurements)) for row in _lines(frame)]
        columns += seed_columns(frame, metric, origins)
    if frame[f"{metric}_difference"].notna().any():
        cells = [
            number_cell(value, about["unit"], signed=True,
                        origin=_stated(row, f"{label}, difference", value, _COMPUTED))
            for row, value in zip(_lines(frame), frame[f"{metric}_difference"], strict=True)
        ]  # fmt: skip
        columns.append(
            Column(heading=f"{label} difference", cells=tuple(cells), unit=about["unit"])
        )
    return columns


def _paper_column(
    heading: str, frame: pd.DataFrame, metric: str, about: Mapping[str, Any]
) -> Column:
    cells = []
    for row, value in zip(_lines(frame), frame[f"{metric}_paper"], strict=True):
        facts = {"published in": str(row["source"])}
        if row["recalled"] is True:
            facts["caution"] = "recalled from memory; no copy of the table was seen"
        origin = _stated(row, f"{about['label']}, as published", value, facts)
        cell = number_cell(value, about["unit"], _PAPER_DECIMALS, origin=origin)
        marked = row["recalled"] is True and cell.value is not None
        cells.append(replace(cell, text=cell.text + _RECALLED_MARK) if marked else cell)
    return Column(
        heading=heading,
        cells=tuple(cells),
        unit=about["unit"],
        larger_is_better=about["larger_is_better"],
    )


def _parameters(frame: pd.DataFrame) -> list[Column]:
    columns = []
    for name, heading, decimals, meaning in (
        ("parameters_paper", "parameters paper", 0, "parameters as the paper prints them"),
        ("parameters", "parameters", 2, "parameters of the generator"),
    ):
        if frame[name].notna().any():
            cells = []
            for row, value in zip(_lines(frame), frame[name], strict=True):
                printed = {"published in": str(row["source"])}
                facts = printed if name == "parameters_paper" else _COUNTED
                cells.append(millions_cell(value, _stated(row, meaning, value, facts), decimals))
            columns.append(
                Column(heading=heading, cells=tuple(cells), unit="M", explanation=meaning)
            )
    return columns


def _costs(frame: pd.DataFrame) -> list[Column]:
    """Return multiplications and time of one image, where the table compares them."""
    columns = []
    if "multiplications" in frame and frame["multiplications"].notna().any():
        meaning = "multiplications of convolutions and linear layers for one image"
        cells = [
            millions_cell(value, _stated(row, meaning, value, _COUNTED))
            for row, value in zip(_lines(frame), frame["multiplications"], strict=True)
        ]
        columns.append(
            Column(heading="multiplications", cells=tuple(cells), unit="M", explanation=meaning)
        )
    if "seconds_per_image" in frame and frame["seconds_per_image"].notna().any():
        meaning = "milliseconds to synthesize one image, on the machine and under the load of then"
        cells = [
            number_cell(1000 * value, "", origin=_stated(row, meaning, value, _COUNTED))
            for row, value in zip(_lines(frame), frame["seconds_per_image"], strict=True)
        ]
        columns.append(Column(heading="ms/image", cells=tuple(cells), explanation=meaning))
    return columns


def _count_column(frame: pd.DataFrame, name: str, meaning: str) -> Column:
    cells = [
        count_cell(value, _stated(row, meaning, value, _COUNTED)) if pd.notna(value) and value
        else Cell()
        for row, value in zip(_lines(frame), frame[name], strict=True)
    ]  # fmt: skip
    return Column(heading=name, cells=tuple(cells), explanation=meaning)


def _lines(frame: pd.DataFrame) -> list[dict[Any, Any]]:
    return frame.to_dict("records")


def _stated(row: Mapping[Any, Any], what: str, value: object, facts: Mapping[str, str]) -> Origin:
    return Origin(heading=f"{row['row']}: {what}", exact=str(value), facts=facts)


def _records(
    row: Mapping[Any, Any], metric: str, measurements: Sequence[Measurement]
) -> tuple[Measurement, ...]:
    """Return the records of that model on that data, over all seeds: behind a measured number."""
    source = row["row"] if pd.isna(row["model"]) else row["model"]
    wanted = (source, row["dataset"], metric, None)
    return tuple(
        item
        for item in measurements
        if (item.source, item.dataset, item.metric, item.class_name) == wanted
    )


def _rules(datasets: Sequence[str], groups: Sequence[str], kinds: Sequence[str]) -> frozenset[int]:
    """Return where another dataset, another group of rows, or the models after the bounds begin."""
    parts = [
        (dataset, group, kind in REFERENCE_KINDS)
        for dataset, group, kind in zip(datasets, groups, kinds, strict=True)
    ]
    return frozenset(place for place in range(1, len(parts)) if parts[place] != parts[place - 1])
