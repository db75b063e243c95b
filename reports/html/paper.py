# SPDX-License-Identifier: Apache-2.0
"""The tables of the paper beside the measured numbers; both kinds of number name their origin."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from spade_eval.paper_tables import PaperTable
from spade_eval.records import Measurement
from spade_eval.reports.html.details import Details
from spade_eval.reports.html.report_data import ReportData
from spade_eval.reports.html.views import (
    Cell,
    Column,
    Section,
    Table,
    TableRow,
    decimals_of,
    number,
)
from spade_eval.reports.measured.grouping import REFERENCE_KINDS

_TEXTS = ("dataset", "row", "group", "kind", "model", "profile")
_MILLION = 1e6
# Title, unit, divisor and meaning of the columns of facts.
_FACTS = {
    "seeds": ("seeds", "", 1, "measured runs that differ in the seed"),
    "N": ("N", "", 1, "images scored"),
    "parameters": ("parameters", "M", _MILLION, "parameters of the generator, in millions"),
    "parameters_paper": ("paper", "M", _MILLION, "parameters as the paper prints them"),
}


def paper_section(
    paper_table: PaperTable, frame: pd.DataFrame, report: ReportData, details: Details
) -> Section:
    """One table of a paper as `spade_eval.reports.tables.paper_tables.paper_table` gives it."""
    drawn = _PaperTable(frame, report, details)
    as_printed = bool((frame["kind"] == "paper").all())
    table = Table(
        title=frame.attrs["title"],
        columns=tuple(drawn.columns()),
        rows=tuple(drawn.row(row) for _, row in frame.iterrows()),
        notes=tuple(("", note) for note in frame.attrs.get("notes", ())),
    )
    return Section(
        anchor=f"table-{paper_table.short}{'-printed' if as_printed else ''}",
        nav=f"{paper_table.name}{' as printed' if as_printed else ''}",
        title="The paper's table",
        lead=f"{paper_table.paper.authors}, {paper_table.paper.venue}: measured here, printed "
        "there, and the difference where both follow one protocol.",
        tables=(table,),
    )


class _PaperTable:
    """The columns of a frame that hold anything, and its rows in them."""

    def __init__(self, frame: pd.DataFrame, report: ReportData, details: Details) -> None:
        self.frame, self.details = frame, details
        self.measured = [item for run in report.runs for item in run.measurements]
        self.texts = [name for name in _TEXTS if (frame[name].fillna("") != "").any()]
        self.facts = [name for name in _FACTS if frame[name].notna().any()]
        self.metrics: Mapping[str, Mapping[str, Any]] = frame.attrs["metrics"]

    def columns(self) -> list[Column]:
        columns = [Column(title=name) for name in self.texts]
        for title, unit, _, meaning in (_FACTS[name] for name in self.facts):
            columns.append(Column(title=title, is_number=True, unit=unit, explanation=meaning))
        for name, about in self.metrics.items():
            columns += [self._metric_column(column, about) for column in self._given(name)]
        return columns

    def row(self, row: "pd.Series[Any]") -> TableRow:
        cells = [Cell(text="-" if pd.isna(row[name]) else str(row[name])) for name in self.texts]
        cells += [self._fact(row, name) for name in self.facts]
        for name, about in self.metrics.items():
            for column in self._given(name):
                cells.append(self._number(row, name, column, about))
        reference = row["kind"] in REFERENCE_KINDS
        return TableRow(cells=tuple(cells), kind=str(row["kind"]), is_reference=reference)

    def _given(self, metric: str) -> list[str]:
        """Columns of a metric with any number in them: measured, published, their difference."""
        names = [f"{metric}{suffix}" for suffix in ("", "_paper", "_difference")]
        return [name for name in names if self.frame[name].notna().any()]

    def _metric_column(self, column: str, about: Mapping[str, Any]) -> Column:
        ending = column.rpartition("_")[2]
        is_extra = ending in ("paper", "difference")
        return Column(
            title=ending if is_extra else about["label"],
            is_number=True,
            unit=about["unit"],
            larger_is_better=None if ending == "difference" else about["larger_is_better"],
            explanation=about["label"] if is_extra else "",
        )

    def _fact(self, row: "pd.Series[Any]", name: str) -> Cell:
        if pd.isna(row[name]):
            return Cell()
        _, _, divisor, meaning = _FACTS[name]
        value = float(row[name]) / divisor
        origin = {"counted from": "the records behind this row's scores"}
        if name == "parameters_paper":
            origin = {"published in": str(row["source"])}
        detail = self.details.stated(f"{row['row']}: {meaning}", str(int(row[name])), origin)
        return Cell(text=f"{value:.{2 if divisor > 1 else 0}f}", value=value, detail=detail)

    def _number(
        self, row: "pd.Series[Any]", metric: str, column: str, about: Mapping[str, Any]
    ) -> Cell:
        unit, value = about["unit"], None if pd.isna(row[column]) else float(row[column])
        decimals = decimals_of(self.frame[metric].dropna().tolist(), unit)
        text, shown = number(value, unit, decimals)
        if shown is None:
            return Cell()
        if column == metric:
            spread = number(row[f"{metric}_spread"], unit, decimals)[0]
            extra = "" if spread == "-" else f"± {spread}"
            detail = self.details.measured(self._records(row, metric))
            return Cell(text=text, value=shown, detail=detail, extra=extra)
        facts = {"computed from": "the measured number minus the published one, in this row"}
        if column.endswith("_paper"):
            text = f"{shown:.1f}"
            facts = {"published in": str(row["source"])}
            if row["recalled"]:
                facts["caution"] = "recalled from memory; no copy of the table was seen"
        else:
            text = f"{shown:+.{decimals}f}"
        what = "as published" if column.endswith("_paper") else "difference"
        heading = f"{row['row']}: {about['label']}, {what}"
        detail = self.details.stated(heading, repr(value), facts)
        return Cell(text=text, value=shown, detail=detail)

    def _records(self, row: "pd.Series[Any]", metric: str) -> list[Measurement]:
        """The records behind a measured number: of that model on that data, over all seeds."""
        source = row["row"] if pd.isna(row["model"]) else row["model"]
        wanted = (source, row["dataset"], metric, None)
        return [
            item
            for item in self.measured
            if (item.source, item.dataset, item.metric, item.class_name) == wanted
        ]
