# SPDX-License-Identifier: Apache-2.0
"""A table of the paper over given runs, in every form: frame, text, Markdown, LaTeX, plots."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

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

_SLOPES_OF = 4  # the table of ablations


def write_paper_table(
    number: int, run_folders: Sequence[Path], folder: Path, *, unverified: bool = False
) -> RunReport:
    """Write table `number` of these runs into a folder as `tableN.*`; see `paper_table`."""
    return write_table_of_runs(
        number, [open_run(run) for run in run_folders], folder, unverified=unverified
    )


def write_table_of_runs(
    number: int, runs: Sequence[RunData], folder: Path, *, unverified: bool = False
) -> RunReport:
    """The same for runs that are open already."""
    together = merged(runs)
    groups = by_protocol(together.measurements)
    table = paper_table(number, groups, unverified=unverified)
    table.attrs["notes"] += [item.sentence() for item in together.disagreements]
    parts = [printed_paper(table)]
    paths = write_forms(table, parts[0], folder, f"table{number}")
    published = paper_table(number, [], unverified=unverified)
    if not any(paper_dataset(name) for name in table["dataset"]):
        parts.append(printed_published(published))
        paths += write_forms(published, parts[1], folder, f"table{number}_paper")
    order = [f"Order: {line}" for line in ordering_lines(table, published)]
    said = order + ([] if has_parquet() else [NO_PARQUET])
    text = "\n\n".join([*map(_text, parts), *(["\n".join(said)] if said else [])])
    paths.append(write_text(f"{text}\n", folder / f"table{number}.txt"))
    page = "\n".join([*map(as_markdown, parts), *(f"- {markdown_escaped(line)}" for line in said)])
    write_text(f"{page}\n", folder / f"table{number}.md")
    paths += _plots(number, table, published, folder)
    shown = [table] if len(parts) == 1 else [table, published]
    web_page = ReportData(
        title=", ".join(run.name for run in runs),
        runs=tuple(runs),
        paper_tables=tuple(shown),
        notes=tuple(order),
    )
    paths += write_page(web_page, folder / f"table{number}_html")
    return RunReport(tuple(paths), text)


def _text(printed: Printed) -> str:
    notes = [f"Note: {note}" for note in printed.notes]
    return "\n".join([printed.title, "", as_text(printed), *notes])


def _plots(number: int, table: pd.DataFrame, published: pd.DataFrame, folder: Path) -> list[Path]:
    if not has_plots():
        return []
    paths = [
        plot_paper_table(table, folder / f"table{number}.{form}", published)
        for form in ("png", "pdf", "svg")
    ]
    # The paper's lines stand beside ours even where they are of other datasets.
    both = pd.concat([table, published[~published["dataset"].isin(table["dataset"])]])
    both.attrs = table.attrs
    plots = plot_ablation_slopes(both, folder) if number == _SLOPES_OF else []
    return [*paths, *files_of(plots)]
