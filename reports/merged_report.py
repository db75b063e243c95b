# SPDX-License-Identifier: Apache-2.0
"""The report of several runs: a leaderboard a protocol, with what the runs disagree in."""

from collections.abc import Sequence
from pathlib import Path

from spade_eval.reports.measured.groups import protocol_groups
from spade_eval.reports.plots.bars import plot_leaderboard
from spade_eval.reports.report_data import Plot, RunData, RunReport
from spade_eval.reports.run_report import has_plots, missing_parts, write_page
from spade_eval.reports.runs import Merged, merged
from spade_eval.reports.tables.formats import as_text
from spade_eval.reports.tables.leaderboard import different, leaderboards, printed_leaderboard
from spade_eval.reports.tables.writing import write_forms


def write_merged_report(runs: Sequence[RunData], folder: Path) -> RunReport:
    """Write leaderboards, figures and the web page of all runs together into a folder."""
    found = merged(runs)
    boards = leaderboards(found.measurements)
    paths: list[Path] = []
    plots: list[Plot] = []
    texts = []
    for key, board in boards.items():
        place = folder / (key.slug if len(boards) > 1 else "")
        printed = printed_leaderboard(board)
        paths += write_forms(board, printed, place, "leaderboard")
        plots += plot_leaderboard(board, place) if has_plots() else []
        notes = [f"Note: {note}" for note in printed.notes]
        texts.append("\n".join([printed.title, "", as_text(printed), *notes]))
    paths += [path for plot in plots for path in (plot.png, plot.pdf, plot.svg)]
    said = _about_the_merge(runs, found)
    if len(boards) > 1:
        said.append(f"{different(list(boards))}: their numbers stand in tables of their own.")
    groups = protocol_groups(runs, found.measurements)
    paths += write_page(runs, groups, plots, folder / "html", notes=said)
    return RunReport(tuple(paths), "\n\n".join([*texts, "\n".join([*said, *missing_parts()])]))


def _about_the_merge(runs: Sequence[RunData], found: Merged) -> list[str]:
    said = [f"{len(runs)} runs: {', '.join(run.name for run in runs)}."]
    if found.num_duplicates:
        said.append(f"{found.num_duplicates:,} numbers stand in several runs and are equal.")
    return [*said, *(item.sentence() for item in found.disagreements)]
