# SPDX-License-Identifier: Apache-2.0
"""The tables of the page: scores and classes of every protocol, the paper's tables, comparisons.

Numbers are those of the printed tables, at full precision wherever they are sorted, filtered or
copied. Each carries the place of its provenance.
"""

from collections.abc import Mapping, Sequence

from spade_eval.records import Measurement
from spade_eval.reports.html.comparisons import comparison_section
from spade_eval.reports.html.details import Details
from spade_eval.reports.html.paper import paper_section
from spade_eval.reports.html.report_data import ReportData
from spade_eval.reports.html.views import (
    Cell,
    Column,
    Section,
    Table,
    TableRow,
    decimals_of,
    number,
    ranked,
)
from spade_eval.reports.measured.grouping import ProtocolGroup, Row, metric_names
from spade_eval.reports.statistics.intervals import Interval

Ends = Mapping[tuple[str, str], Interval]

_MARKS = "abcdefghijklmnopqrstuvwxyz"


def sections(report: ReportData, details: Details) -> list[Section]:
    """Parts of the page that hold tables, in reading order."""
    found = [_group_section(report, place, details) for place in range(1, len(report.groups) + 1)]
    if report.comparison is not None:
        found.insert(0, comparison_section(report.comparison, details))
    return [*found, *(paper_section(*table, report, details) for table in report.paper_tables)]


def _group_section(report: ReportData, place: int, details: Details) -> Section:
    group = report.groups[place - 1]
    tables = [_scores(group, report.intervals.get(group.key, {}), details)]
    classes = _classes(group, details)
    return Section(
        anchor=f"scores-{place}",
        nav="Scores" if len(report.groups) == 1 else f"Scores {place}",
        title=group.title,
        lead=group.details,
        tables=(*tables, *([classes] if classes.rows else [])),
    )


def _scores(group: ProtocolGroup, ends: Ends, details: Details) -> Table:
    metrics = metric_names(group.rows)
    notes = _Notes([item for row in group.rows for item in row.scores.values()])
    facts, fact_cells = _facts(group.rows, details)
    columns = [Column(title="source"), Column(title="kind"), *facts]
    columns += [_metric_column(group.rows, name) for name in metrics]
    rows = []
    for place, row in enumerate(group.rows):
        cells = [Cell(text=row.title), Cell(text=row.kind), *fact_cells[place]]
        cells += [_score(group, ends, row, name, notes, details) for name in metrics]
        rows.append(TableRow(cells=tuple(cells), kind=row.kind, is_reference=row.is_reference))
    common = [("", note) for note in group.notes if note not in notes.own]
    return Table(
        title="Scores",
        columns=tuple(columns),
        rows=ranked(rows, columns),
        notes=(*notes.marked, *common),
    )


class _Notes:
    """Footnotes that only some numbers carry, each with a letter; the others hold for all."""

    def __init__(self, items: Sequence[Measurement]) -> None:
        everywhere = set.intersection(*(set(item.notes) for item in items)) if items else set()
        own = dict.fromkeys(note for item in items for note in item.notes)
        self.own = {
            note: _MARKS[place] if place < len(_MARKS) else str(place)
            for place, note in enumerate(note for note in own if note not in everywhere)
        }

    @property
    def marked(self) -> tuple[tuple[str, str], ...]:
        return tuple((mark, note) for note, mark in self.own.items())

    def marks(self, item: Measurement) -> str:
        return " ".join(self.own[note] for note in item.notes if note in self.own)


def _facts(rows: Sequence[Row], details: Details) -> tuple[list[Column], list[list[Cell]]]:
    """Parameters, training steps and images: the columns that any row has something in."""
    kinds = (
        ("parameters", "M", "parameters of the generator, in millions", 1e6),
        ("train_steps", "", "optimisation steps of the generator", 1),
        ("num_images", "", "images scored", 1),
    )
    titles = {"train_steps": "steps", "num_images": "N"}
    columns: list[Column] = []
    cells: list[list[Cell]] = [[] for _ in rows]
    for name, unit, explanation, divisor in kinds:
        values = [getattr(row.measurements[0], name) for row in rows]
        if all(value is None for value in values):
            continue
        columns.append(
            Column(title=titles.get(name, name), is_number=True, unit=unit, explanation=explanation)
        )
        for own, row in zip(cells, rows, strict=True):
            own.append(_fact(row.measurements[0], name, divisor, details))
    return columns, cells


def _fact(item: Measurement, name: str, divisor: float, details: Details) -> Cell:
    value: int | None = getattr(item, name)
    if value is None:
        return Cell()
    text = f"{value / divisor:.2f}" if divisor > 1 else str(value)
    detail = details.fact(item, name.replace("_", " "), str(value))
    return Cell(text=text, value=value / divisor, detail=detail)


def _metric_column(rows: Sequence[Row], name: str) -> Column:
    about = next(row.scores[name] for row in rows if name in row.scores)
    return Column(
        title=about.label,
        is_number=True,
        unit=about.unit,
        larger_is_better=about.larger_is_better,
    )


def _score(
    group: ProtocolGroup, ends: Ends, row: Row, name: str, notes: _Notes, details: Details
) -> Cell:
    item = row.scores.get(name)
    if item is None:
        return Cell()
    values = [other.scores[name].value for other in group.rows if name in other.scores]
    decimals = decimals_of(values, item.unit)
    text, value = number(item.value, item.unit, decimals)
    low, high = ends.get((row.title, name), (None, None))
    extra = ""
    if low is not None and high is not None:
        shown = [number(end, item.unit, decimals)[0] for end in (low, high)]
        extra = f"{shown[0]} to {shown[1]}"
    return Cell(
        text=text,
        value=value,
        detail=details.measured([item]),
        extra=extra,
        marks=notes.marks(item),
    )


def _classes(group: ProtocolGroup, details: Details) -> Table:
    """Classes x sources; a class without ground truth has no IoU and sorts last."""
    rows = [row for row in group.rows if row.class_iou]
    names = list(dict.fromkeys(name for row in rows for name in row.class_iou))
    columns = [Column(title="class")]
    columns += [
        Column(title=row.title, is_number=True, unit="%", larger_is_better=True) for row in rows
    ]
    found = []
    for name in names:
        cells = [Cell(text=name)]
        for row in rows:
            item = row.class_iou.get(name)
            text, value = number(item.value if item else None, "%", 2)
            detail = details.measured([item]) if item else None
            cells.append(Cell(text=text, value=value, detail=detail))
        found.append(TableRow(cells=tuple(cells)))
    return Table(
        title="IoU by class",
        columns=tuple(columns),
        rows=tuple(found),
        caption='Counts pooled over the split; "-" where the class has no IoU there.',
    )
