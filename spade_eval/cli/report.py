# SPDX-License-Identifier: Apache-2.0
"""`spade-eval report`: tables, figures and a web page of runs, from what they recorded."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spade_eval.cli.console.conditions import (
    OF_LEADERBOARD,
    OF_ONE_RUN,
    WITH_TABLE,
    WITHOUT_TABLE,
)
from spade_eval.cli.console.output import current, note, say, show, wrote
from spade_eval.cli.console.paths import checked
from spade_eval.errors import UserError
from spade_eval.files import is_writable

if TYPE_CHECKING:
    from spade_eval.papers.tables import PaperTable
    from spade_eval.reports.run_report import RunReport
    from spade_eval.reports.tables.latex import LatexForm


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN",
            help="Run folders or bundles; several make a leaderboard.",
            callback=checked("file or folder"),
        ),
    ],
    table: Annotated[
        str | None,
        typer.Option(
            metavar="N|NAME",
            help="A table of a paper beside what was measured: 1, 3, 4 or 5 of the SPADE paper, in "
            "full park2019-3, or oasis2021-1, systems, norms.",
        ),
    ] = None,
    unverified: Annotated[
        bool,
        typer.Option(help="Also numbers that were only recalled, marked."),
        WITH_TABLE,
    ] = False,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=VALUE",
            help="Only rows of which this is true, beside the bounds, as text_input=none, "
            "guidance<=2 or trained_with_segmenter!=scoring, in a leaderboard of its own folder. "
            "Repeatable.",
        ),
        WITHOUT_TABLE,
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder [default: the run's own, or beside the first run].",
            callback=checked("folder", written=True),
        ),
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Put the table of a run, of --table or of several runs into its block of this "
            "Markdown page.",
            callback=checked("file", written=True),
        ),
    ] = None,
    block: Annotated[
        str,
        typer.Option(metavar="NAME", help="The block of a leaderboard in the page of --into."),
        OF_LEADERBOARD,
    ] = "leaderboard",
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="HEADINGS", help="In .tex files: these columns of scores, as mIoU,FID."
        ),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(metavar="ROW=TITLE", help="In .tex files: the row's name there. Repeatable."),
    ] = None,
    thorough: Annotated[
        bool,
        typer.Option(help="FID against N; takes minutes on Inception features."),
        OF_ONE_RUN,
    ] = False,
) -> None:
    """Print the table of one run, of several, or of the paper, and write it in every form."""
    latex = _latex(columns, name or ())
    if table is None and len(runs) == 1 and runs[0].is_dir() and out is None and not where:
        show_report(runs[0], thorough=thorough, latex=latex)
        if into is not None:
            _fill(runs[0], into)
        return
    with tempfile.TemporaryDirectory() as scratch:
        wanted = where or ()
        _show_together(runs, table, unverified, wanted, out, into, block, latex, Path(scratch))


def _fill(run: Path, page: Path) -> None:
    from spade_eval.reports.run_report import fill_page_with_run

    filled = fill_page_with_run(run, page)
    wrote(filled)
    for path in filled:
        show(f"  {path}")


def _latex(columns: str | None, names: Sequence[str]) -> "LatexForm":
    from spade_eval.reports.tables.latex import LatexForm

    for pair in names:
        if not all(pair.partition("=")):
            raise UserError(f"--name {pair!r}: expected ROW=TITLE, as spade=SPADE")
    wanted = [heading.strip() for heading in (columns or "").split(",")]
    return LatexForm(
        columns=tuple(heading for heading in wanted if heading),
        names={row: title for row, _, title in (pair.partition("=") for pair in names)},
    )


def show_report(run: Path, *, thorough: bool = False, latex: "LatexForm | None" = None) -> None:
    """Write the report and print the table and where all is; of a read-only run print the table."""
    from spade_eval.reports.run_report import printed_report, write_report
    from spade_eval.reports.tables.latex import PLAIN

    if not is_writable(run):
        show(printed_report(run))
        say(f"\n{run} is read-only: give --out FOLDER for the table in files, plots and a page")
        return
    written = write_report(run, thorough=thorough, latex=latex or PLAIN)
    show_written(written, run, "Everything of this run is in")


def show_written(written: "RunReport", folder: Path, title: str) -> None:
    """Print a report, and list what was written, relative to its folder."""
    said = current().fields
    rows = [*said.get("rows", ()), *written.rows]
    comparisons = [*said.get("comparisons", ()), *written.comparisons]
    show(written.text, rows=rows, comparisons=comparisons)
    note(written.notes)
    wrote(written.paths)
    show(f"\n{title} {folder}:", folder=folder)
    for path in written.paths:
        show(f"  {path.relative_to(folder)}", folder=folder)


def _show_together(
    places: Sequence[Path],
    name: str | None,
    unverified: bool,
    where: Sequence[str],
    out: Path | None,
    into: Path | None,
    block: str,
    latex: "LatexForm",
    scratch: Path,
) -> None:
    from spade_eval.papers.tables import paper_table_called
    from spade_eval.reports.measured.where import Condition, rows_where
    from spade_eval.reports.merged_report import write_merged_report
    from spade_eval.reports.paper_report import write_table_of_runs
    from spade_eval.reports.runs import open_runs

    conditions = [Condition.parse(text) for text in where]
    opened, said = open_runs(places, scratch), ""
    if conditions:
        opened, said = rows_where(opened, conditions)
    table = None if name is None else paper_table_called(name)
    folder = out or _default_folder(places, table, is_part=bool(conditions))
    if into is not None:
        from spade_eval.reports.tables.filled_page import require_block

        require_block(into, block if table is None else table.stem)
    if table is None:
        written = write_merged_report(opened, folder, latex, said)
    else:
        written = write_table_of_runs(table, opened, folder, unverified=unverified, latex=latex)
    filled: list[Path] = []
    if into is not None:
        from spade_eval.reports.measured.provenance import shared_provenance
        from spade_eval.reports.tables.filled_page import fill_with_leaderboard, fill_with_table

        measurements = [item for run in opened for item in run.measurements]
        models = {item.source for item in measurements} if table is None else table.models
        lines = shared_provenance(measurements, models)
        if table is None:
            filled = fill_with_leaderboard(into, block, written.paths, lines)
        else:
            filled = fill_with_table(into, table, folder, lines)
    show_written(written, folder, "Written into")
    wrote(filled)
    for path in filled:
        show(f"  {path}", folder=folder)


def _default_folder(
    places: Sequence[Path], table: "PaperTable | None", *, is_part: bool = False
) -> Path:
    """The tables of one run folder; for several, a folder beside the first.

    Some of the rows have a folder of their own, so that they replace no whole table.
    """
    name = "leaderboard" if table is None else table.stem
    if is_part:
        return places[0].resolve().parent / f"{name}-where"
    if len(places) == 1 and places[0].is_dir():
        return places[0] / "tables"
    return places[0].resolve().parent / name
