# SPDX-License-Identifier: Apache-2.0
"""A table of a paper over given runs, in every form: frame, text, Markdown, LaTeX, plots."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from spade_eval.paper_tables import PaperTable
from spade_eval.reports.html.report_data import ReportData
from spade_eval.reports.measured.grouping import by_protocol
from spade_eval.reports.measured.run_data import RunData
from spade_eval.reports.plots.papers import plot_paper_table
from spade_eval.reports.plots.slopes import plot_ablation_slopes
from spade_eval.reports.run_report import RunReport, files_of, has_plots, write_page
from spade_eval.reports.runs import merged, open_run
from spade_eval.reports.statistics.ordering import ordering_lines
from spade_eval.reports.tables.formats import as_markdown, as_text, markdown_escaped
from spade_eval.reports.tables.paper_tables import paper_table
from spade_eval.reports.tables.printed import Printed
from spade_eval.reports.tables.printed_paper import printed_paper, printed_published
from spade_eval.reports.tables.published import paper_dataset
from spade_eval.reports.tables.writing import NO_PARQUET, has_parquet, write_forms, write_text


def write_paper_table(
    table: PaperTable, run_folders: Sequence[Path], folder: Path, *, unverified: bool = False
) -> RunReport:
    """Write a table of these runs into a folder as `tableN.*`; see `paper_table`."""
    return write_table_of_runs(
        table, [open_run(run) for run in run_folders], folder, unverified=unverified
    )


def write_table_of_runs(
    table: PaperTable, runs: Sequence[RunData], folder: Path, *, unverified: bool = False
) -> RunReport:
    """The same for runs that are open already."""
    together = merged(runs)
    groups = by_protocol(together.measurements)
    measured = paper_table(table, groups, unverified=unverified)
    measured.attrs["notes"] += [item.sentence() for item in together.disagreements]
    parts = [printed_paper(measured)]
    paths = write_forms(measured, parts[0], folder, table.stem)
    published = paper_table(table, [], unverified=unverified)
    if not any(paper_dataset(name) for name in measured["dataset"]):
        parts.append(printed_published(table, published))
        paths += write_forms(published, parts[1], folder, f"{table.stem}_paper")
    order = [f"Order: {line}" for line in ordering_lines(measured, published)]
    said = order + ([] if has_parquet() else [NO_PARQUET])
    text = "\n\n".join([*map(_text, parts), *(["\n".join(said)] if said else [])])
    paths.append(write_text(f"{text}\n", folder / f"{table.stem}.txt"))
    page = "\n".join([*map(as_markdown, parts), *(f"- {markdown_escaped(line)}" for line in said)])
    write_text(f"{page}\n", folder / f"{table.stem}.md")
    paths += _plots(table, measured, published, folder)
    shown = [measured] if len(parts) == 1 else [measured, published]
    web_page = ReportData(
        title=", ".join(run.name for run in runs),
        runs=tuple(runs),
        paper_tables=tuple((table, frame) for frame in shown),
        notes=tuple(order),
    )
    paths += write_page(web_page, folder / f"{table.stem}_html")
    return RunReport(tuple(paths), text)


def _text(printed: Printed) -> str:
    notes = [f"Note: {note}" for note in printed.notes]
    return "\n".join([printed.title, "", as_text(printed), *notes])


def _plots(
    table: PaperTable, measured: pd.DataFrame, published: pd.DataFrame, folder: Path
) -> list[Path]:
    if not has_plots():
        return []
    paths = [
        plot_paper_table(measured, folder / f"{table.stem}.{form}", published)
        for form in ("png", "pdf", "svg")
    ]
    # The paper's lines stand beside ours even where they are of other datasets.
    both = pd.concat([measured, published[~published["dataset"].isin(measured["dataset"])]])
    both.attrs = measured.attrs
    plots = plot_ablation_slopes(both, folder, f"{table.stem}_slopes") if table.slopes else []
    return [*paths, *files_of(plots)]
