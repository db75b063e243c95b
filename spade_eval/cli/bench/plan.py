# SPDX-License-Identifier: Apache-2.0
"""`spade-eval plan`: what a comparison or a table will be able to show, before anything is made."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spade_eval.cli.console.conditions import WITH_COMPARED, WITH_TABLE
from spade_eval.cli.console.output import note, show
from spade_eval.cli.console.paths import checked
from spade_eval.errors import UserError

if TYPE_CHECKING:
    from spade_eval.reports.measured.run_data import RunData
    from spade_eval.reports.run_report import RunReport

_RUNS = Path("runs")


def plan(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="RUN",
            help="Run folders whose records are used [default: those in runs/].",
            callback=checked("folder"),
        ),
    ] = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="ROW ROW", help="Two rows that are to be compared."),
    ] = None,
    images: Annotated[
        int | None,
        typer.Option(min=2, help="Images at hand [default: those of the records]."),
        WITH_COMPARED,
    ] = None,
    difference: Annotated[
        float | None,
        typer.Option(
            metavar="POINTS", help="Say how many images show so much, of scores in percent."
        ),
        WITH_COMPARED,
    ] = None,
    table: Annotated[
        str | None,
        typer.Option(metavar="N|NAME", help="A table whose models are to be trained."),
    ] = None,
    hours: Annotated[
        float,
        typer.Option(min=0.01, help="Time for all its trainings, one after another."),
        WITH_TABLE,
    ] = 24.0,
) -> None:
    """Print the smallest difference that images, or seeds and steps, will be able to show."""
    if (compare is None) == (table is None):
        raise UserError(
            "plan: expected either --compare ROW ROW or --table N, found "
            f"{'neither' if table is None else 'both'}"
        )
    if difference is not None and difference <= 0:
        raise UserError(f"--difference {difference:g}: expected points above 0, for example 0.5")
    folders = runs or _default_runs()
    written = (
        _of_rows(compare, folders, images, difference)
        if compare is not None
        else _of_table(str(table), folders, hours)
    )
    show(written.text, rows=list(written.rows))
    note(written.notes)


def _of_rows(
    compare: tuple[str, str], folders: list[Path], images: int | None, difference: float | None
) -> "RunReport":
    from spade_eval.reports.plan_report import plan_comparison

    if len(set(compare)) == 1:
        raise UserError(f"--compare {' '.join(compare)}: expected two different rows")
    return plan_comparison(_opened(folders), compare, images, difference)


def _of_table(name: str, folders: list[Path], hours: float) -> "RunReport":
    from spade_eval.papers.tables import paper_table_called
    from spade_eval.reports.plan_report import plan_seeds

    return plan_seeds(paper_table_called(name), _opened(folders), hours)


def _opened(folders: list[Path]) -> "list[RunData]":
    from spade_eval.reports.runs import open_run

    return [open_run(folder) for folder in folders]


def _default_runs() -> list[Path]:
    return sorted(path.parent for path in _RUNS.glob("*/records.jsonl"))
