# SPDX-License-Identifier: Apache-2.0
"""The report of several runs: a leaderboard a protocol, with what the runs disagree in."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from spade_eval.reports.html.report_data import ReportData, Section
from spade_eval.reports.measured.grouping import by_protocol, own_folder
from spade_eval.reports.measured.run_data import RunData
from spade_eval.reports.measured.seeds import seeded_rows
from spade_eval.reports.plots.bars import plot_leaderboard
from spade_eval.reports.plots.page import Palette, Plot
from spade_eval.reports.run_report import (
    RunReport,
    files_of,
    group_sections,
    has_plots,
    missing_parts,
    write_page,
)
from spade_eval.reports.runs import Merged, merged
from spade_eval.reports.statistics.intervals import uncertainties_of
from spade_eval.reports.statistics.robustness import losses_of
from spade_eval.reports.tables.exported import (
    Board,
    Hub,
    write_eval_results,
    write_leaderboard_json,
)
from spade_eval.reports.tables.formats import text_with_notes
from spade_eval.reports.tables.latex import PLAIN, LatexForm
from spade_eval.reports.tables.leaderboard import different, leaderboard, leaderboard_table
from spade_eval.reports.tables.plain_rows import PlainRow, rows_of_frame
from spade_eval.reports.tables.robustness import robustness_table
from spade_eval.reports.tables.table import Table
from spade_eval.reports.tables.writing import write_forms


def write_merged_report(
    runs: Sequence[RunData], folder: Path, latex: LatexForm = PLAIN, shown: str = ""
) -> RunReport:
    """Write leaderboards, figures and the web page of all runs together into a folder.

    `shown` says which rows these are, where some were left out.
    """
    together = merged(runs)
    groups = by_protocol(together.measurements)
    paths: list[Path] = []
    plots: list[Plot] = []
    texts = []
    rows: list[PlainRow] = []
    boards: list[Section] = []
    said_of_rows: list[str] = []
    palette = Palette.of_groups(groups)
    for group in groups:
        board = leaderboard(group, [run.folder for run in runs])
        place = folder / own_folder(group, groups)
        table = leaderboard_table(board)
        boards.append(_board_section(table, len(boards) + 1))
        paths += write_forms(table, place, "leaderboard", latex)
        plots += plot_leaderboard(board, place, palette) if has_plots() else []
        rows += rows_of_frame(board)
        said_of_rows += [table.shown, *table.notes]
        texts.append("\n".join([table.title, "", *text_with_notes(table)]))
    damaged = robustness_table(losses_of(groups, [run.folder for run in runs]))
    if damaged is not None:
        paths += write_forms(damaged, folder, "robustness")
        texts.append("\n".join([damaged.title, "", *text_with_notes(damaged)]))
        boards.append(_robustness_section(damaged))
    said = [*filter(None, [shown]), *_about_the_merge(runs, together)]
    if len(groups) > 1:
        keys = [group.key for group in groups]
        said.append(f"{different(keys)}: their numbers stand in tables of their own.")
    known = uncertainties_of(groups, [run.folder for run in runs])
    page = ReportData(
        title=", ".join(run.name for run in runs),
        runs=tuple(runs),
        sections=(*boards, *group_sections(groups, known)),
        plots=tuple(plots),
        notes=tuple(said),
    )
    paths += [*files_of(plots), *write_page(page, folder / "html")]
    text = "\n\n".join([*texts, "\n".join([*said, *missing_parts()])])
    return RunReport(tuple(paths), text, tuple(rows), (*said_of_rows, *said))


def export_runs(runs: Sequence[RunData], folder: Path, hub: Hub | None = None) -> list[Path]:
    """Write `leaderboard.json` of all runs together, and what goes to a hub where one is named."""
    together = merged(runs)
    folders = [run.folder for run in runs]
    boards = [
        Board(group, seeded_rows(group), leaderboard(group, folders))
        for group in by_protocol(together.measurements)
    ]
    said = _about_the_merge(runs, together)
    paths = [write_leaderboard_json(boards, said, folder / "leaderboard.json")]
    return paths if hub is None else [*paths, *write_eval_results(boards, hub, folder)]


def _board_section(table: Table, number: int) -> Section:
    """Make the page's section of a leaderboard."""
    return Section(
        anchor=f"leaderboard-{number}",
        nav="Leaderboard" if number == 1 else f"Leaderboard {number}",
        title=table.title,
        lead="Means over seeds; intervals over seeds are of the method, over images of its "
        "checkpoints. Below stands, of every row, the training that was scored last.",
        tables=(replace(table, title="Means over seeds"),),
    )


def _robustness_section(table: Table) -> Section:
    return Section(
        anchor="robustness",
        nav="Robustness",
        title=table.title,
        lead="Rows that were scored on clean and on damaged label maps.",
        tables=(replace(table, title="Differences"),),
    )


def decided_pairs(runs: Sequence[RunData]) -> tuple[int, int, str]:
    """Count the pairs of rows that the seeds tell apart in the metric that comes first, and all.

    With the label of the metric; where protocols differ in it, their labels.
    """
    boards = [leaderboard(group) for group in by_protocol(merged(runs).measurements)]
    firsts = [next(iter(board.attrs["results"])) for board in boards]
    named = list(zip(boards, firsts, strict=True))
    standings = [board.attrs["results"][name].standing for board, name in named]
    labels = dict.fromkeys(board.attrs["metrics"][name]["label"] for board, name in named)
    shown = sum(len(item.shown) for item in standings)
    return shown, sum(item.num_pairs for item in standings), " and ".join(labels)


def _about_the_merge(runs: Sequence[RunData], together: Merged) -> list[str]:
    said = [f"{len(runs)} runs: {', '.join(run.name for run in runs)}."]
    if together.num_duplicates:
        said.append(f"{together.num_duplicates:,} numbers stand in several runs and are equal.")
    return [*said, *(item.sentence() for item in together.disagreements)]
