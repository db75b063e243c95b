# SPDX-License-Identifier: Apache-2.0
"""A paper's table as it is printed: for each metric the paper's number, ours, the difference."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from spade_eval.paper_tables import PaperTable
from spade_eval.reports.measured.grouping import REFERENCE_KINDS
from spade_eval.reports.tables.printed import (
    ABSENT,
    Cell,
    Column,
    Printed,
    count_text,
    millions,
    name_column,
    number_column,
    rounded,
)
from spade_eval.reports.tables.published import DATASETS, RECALLED

_RECALLED_MARK = "†"
_PAPER_DECIMALS = 1


def printed_paper(table: pd.DataFrame) -> Printed:
    """A `paper_table`; columns that no row fills are left out."""
    columns = [name_column("row", table["row"].tolist())]
    if table["dataset"].nunique() > 1:
        columns.insert(0, name_column("dataset", table["dataset"].tolist()))
    columns += _parameters(table)
    if table["seeds"].max() > 0:
        columns.append(name_column("seeds", _counts(table["seeds"]), is_name=False))
    for metric, about in table.attrs["metrics"].items():
        columns += _metric_columns(table, metric, about)
    notes = list(table.attrs["notes"])
    if table["recalled"].any():
        notes.insert(0, f"{_RECALLED_MARK} {RECALLED}")
    return Printed(
        title=table.attrs["title"],
        columns=tuple(columns),
        rules=_rules(table["dataset"].tolist(), table["group"].tolist(), table["kind"].tolist()),
        notes=tuple(notes),
    )


def printed_published(paper_table: PaperTable, table: pd.DataFrame) -> Printed:
    """The paper's own table, a `paper_table` of no measurements: rows down, datasets across."""
    rows = table.drop_duplicates(["group", "row"])
    columns = [name_column("row", rows["row"].tolist()), *_parameters(rows)]
    for dataset in dict.fromkeys(table["dataset"]):
        part = table[table["dataset"] == dataset].set_index(["group", "row"])
        part = part.reindex(list(zip(rows["group"], rows["row"], strict=True)))
        for metric, about in table.attrs["metrics"].items():
            values = part[f"{metric}_paper"] * (100 if about["unit"] == "%" else 1)
            if values.notna().any():
                recalled = part["recalled"].tolist()
                columns.append(
                    _paper_column(
                        f"{DATASETS.get(dataset, dataset)} {about['label']}", values, recalled
                    )
                )
    groups = rows["group"].tolist()
    notes = [f"{_RECALLED_MARK} {RECALLED}"] if table["recalled"].any() else []
    return Printed(
        title=f"{paper_table.paper.authors}, {paper_table.name}, as printed",
        columns=tuple(columns),
        rules=_rules([""] * len(groups), groups, [""] * len(groups)),
        notes=tuple(notes),
    )


def _metric_columns(table: pd.DataFrame, metric: str, about: Mapping[str, Any]) -> list[Column]:
    label, factor = about["label"], 100 if about["unit"] == "%" else 1
    measured, paper = table[metric], table[f"{metric}_paper"]
    columns = []
    if paper.notna().any():
        columns.append(_paper_column(f"{label} paper", factor * paper, table["recalled"].tolist()))
    if measured.notna().any():
        columns.append(
            number_column(
                label,
                measured.tolist(),
                unit=about["unit"],
                larger_is_better=about["larger_is_better"],
                kinds=table["kind"].tolist(),
                spreads=table[f"{metric}_spread"].tolist(),
                blocks=table["dataset"].tolist(),
            )
        )
    if table[f"{metric}_difference"].notna().any():
        texts = [_signed(factor * value) for value in table[f"{metric}_difference"]]
        columns.append(name_column(f"{label} difference", texts, is_name=False))
    return columns


def _paper_column(heading: str, values: pd.Series, recalled: Sequence[bool]) -> Column:
    texts = [
        rounded(value, _PAPER_DECIMALS) + (_RECALLED_MARK if mark and value == value else "")
        for value, mark in zip(values, recalled, strict=True)
    ]
    return Column(heading=heading, cells=tuple(map(Cell, texts)))


def _parameters(table: pd.DataFrame) -> list[Column]:
    columns = []
    for name, heading, decimals in (
        ("parameters_paper", "parameters paper", 0),
        ("parameters", "parameters", 2),
    ):
        if table[name].notna().any():
            texts = [millions(value, decimals) for value in table[name]]
            columns.append(name_column(heading, texts, is_name=False))
    return columns


def _counts(values: pd.Series) -> list[str]:
    return [count_text(value) if value else ABSENT for value in values]


def _signed(value: float) -> str:
    text = rounded(value, 2)
    return text if text == ABSENT or text.startswith("-") else f"+{text}"


def _rules(datasets: Sequence[str], groups: Sequence[str], kinds: Sequence[str]) -> frozenset[int]:
    """A rule where another dataset, another group of rows, or the models after the bounds begin."""
    parts = [
        (dataset, group, kind in REFERENCE_KINDS)
        for dataset, group, kind in zip(datasets, groups, kinds, strict=True)
    ]
    return frozenset(place for place in range(1, len(parts)) if parts[place] != parts[place - 1])
