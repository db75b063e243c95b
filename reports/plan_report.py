# SPDX-License-Identifier: Apache-2.0
"""What `spade-eval plan` prints: images for a difference, or seeds and steps for some hours."""

import math
from collections.abc import Sequence
from dataclasses import asdict

from spade_eval.errors import UserError
from spade_eval.papers.tables import PaperTable
from spade_eval.reports.measured.run_data import RunData
from spade_eval.reports.paper_report import pairs_of
from spade_eval.reports.run_report import RunReport
from spade_eval.reports.runs import merged
from spade_eval.reports.statistics.planning import (
    PlannedMetric,
    PlannedSeeds,
    assumed_plan,
    plan_of_rows,
    plan_of_table,
)
from spade_eval.reports.statistics.seed_tests import FIRST_VERDICT
from spade_eval.reports.tables.formats import as_text
from spade_eval.reports.tables.plain_rows import PlainRow
from spade_eval.reports.tables.table import Cell, Column, Table, count_cell, name_column

_ASSUMED = (
    "the spread of spade - concat on 500 scenes of 64x64 after 300 steps (docs/statistics.md, "
    "section 10); another pair or dataset has another: give a run folder that holds both rows"
)
_POWER = "Detectable: shown at 5% with a chance of 80%, both rows scored on the same images."


def plan_comparison(
    runs: Sequence[RunData], names: tuple[str, str], images: int | None, points: float | None
) -> RunReport:
    """Plan a comparison of two rows from the first run that holds both; assumed without any run."""
    one, other = names
    difference = None if points is None else points / 100
    if not runs:
        planned, notes = assumed_plan(images, difference), [f"Assumed: {_ASSUMED}."]
    else:
        planned, origin = _from_runs(runs, one, other, images, difference)
        notes = [f"From {origin}."]
    title = f"{one} against {other}: what {planned[0].num_images:,} images can show"
    table = _comparison_table(title, planned, points)
    rows = tuple(_plain(asdict(item)) for item in planned)
    return _printed(table, [*notes, _POWER], rows)


def plan_seeds(table: PaperTable, runs: Sequence[RunData], hours: float) -> RunReport:
    """Plan the trainings of a paper's table."""
    measurements = merged(runs).measurements if runs else ()
    pairs = pairs_of(table)
    plan = plan_of_table(table, measurements, hours, pairs)
    shown = _seeds_table(f"{table.name}: what {hours:g} h can show", plan.lines, plan.num_pairs)
    notes = [
        f"{plan.num_models} models, one after another; detectable: differences of mIoU between "
        f"methods, in points, shown at 5% with a chance of 80%. A verdict takes {FIRST_VERDICT} "
        "seeds, and may be read after each (docs/statistics.md, section 11).",
        f"From seed to seed a difference of mIoU deviates by {100 * plan.deviation:.1f} points.",
        *(f"Assumed: {text}." for text in plan.assumed),
    ]
    return _printed(shown, notes, tuple(_plain(asdict(line)) for line in plan.lines))


def _from_runs(
    runs: Sequence[RunData], one: str, other: str, images: int | None, difference: float | None
) -> tuple[list[PlannedMetric], str]:
    for run in runs:
        for group in run.groups:
            rows = {row.title: row for row in group.rows}
            if one in rows and other in rows:
                planned = plan_of_rows(rows[one], rows[other], run.folder, images, difference)
                if planned:
                    return planned, f"{run.folder}: {group.title}"
    raise UserError(
        f"no run folder holds {one!r} and {other!r} with their per-image counts, expected both in "
        f"one of {', '.join(str(run.folder) for run in runs)}; score both in one run, or leave the "
        "folders out for a plan from assumptions"
    )


def _comparison_table(title: str, planned: Sequence[PlannedMetric], points: float | None) -> Table:
    wanted = "found" if points is None else f"{points:g} points"
    columns = [name_column("metric", [_named(item) for item in planned])]
    if any(not math.isnan(item.found) for item in planned):
        columns.append(_numbers("found", [item.found for item in planned], planned, signed=True))
    columns.append(_numbers("detectable", [item.smallest for item in planned], planned))
    if any(math.isfinite(item.needed) for item in planned):
        columns.append(
            Column(
                heading=f"images for {wanted}",
                cells=tuple(_images(item.needed) for item in planned),
            )
        )
    return Table(title=title, columns=tuple(columns))


def _seeds_table(title: str, lines: Sequence[PlannedSeeds], num_pairs: int) -> Table:
    return Table(
        title=title,
        columns=(
            Column(heading="steps", cells=tuple(count_cell(line.steps) for line in lines)),
            Column(heading="hours a seed", cells=tuple(_hours(line.hours) for line in lines)),
            Column(heading="seeds", cells=tuple(count_cell(line.seeds) for line in lines)),
            Column(
                heading="detectable, one pair",
                cells=tuple(_points(line.smallest) for line in lines),
            ),
            Column(
                heading=f"detectable, all {num_pairs} pairs",
                cells=tuple(_points(line.smallest_of_all) for line in lines),
            ),
        ),
    )


def _named(item: PlannedMetric) -> str:
    return f"{item.label}, {item.unit}" if item.unit else item.label


def _numbers(
    heading: str,
    values: Sequence[float],
    planned: Sequence[PlannedMetric],
    *,
    signed: bool = False,
) -> Column:
    cells = []
    for value, item in zip(values, planned, strict=True):
        number = 100 * value if item.unit == "%" else value
        text = f"{number:{'+' if signed else ''}.{2 if item.unit == '%' else 4}f}"
        cells.append(Cell() if math.isnan(value) else Cell(text=text, value=number))
    return Column(heading=heading, cells=tuple(cells))


def _hours(value: float) -> Cell:
    return Cell(text=f"{value:.2f}", value=value)


def _images(needed: float) -> Cell:
    return Cell(text=f"{needed:,.0f}", value=needed) if math.isfinite(needed) else Cell()


def _points(value: float) -> Cell:
    if not math.isfinite(value):
        return Cell(text="no verdict")
    return Cell(text=f"{100 * value:.1f}", value=100 * value)


def _plain(values: PlainRow) -> PlainRow:
    """Infinite and unknown numbers are null in JSON."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }


def _printed(table: Table, notes: Sequence[str], rows: tuple[PlainRow, ...]) -> RunReport:
    text = "\n".join([table.title, "", as_text(table), *(f"Note: {note}" for note in notes)])
    return RunReport((), text, rows, tuple(notes))
