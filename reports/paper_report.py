# SPDX-License-Identifier: Apache-2.0
"""A table of a paper over given runs, in every form: frame, text, Markdown, LaTeX, plots."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from spade_eval.papers.tables import PaperTable
from spade_eval.reports.html.report_data import ReportData, Section
from spade_eval.reports.measured.grouping import by_protocol
from spade_eval.reports.measured.run_data import RunData
from spade_eval.reports.plots.papers import plot_paper_table
from spade_eval.reports.plots.slopes import plot_ablation_slopes
from spade_eval.reports.run_report import RunReport, files_of, has_plots, write_page
from spade_eval.reports.runs import merged, open_run
from spade_eval.reports.statistics.ordering import num_ordered, ordered_pairs, ordering_lines
from spade_eval.reports.tables.formats import as_markdown, markdown_escaped, text_with_notes
from spade_eval.reports.tables.latex import PLAIN, LatexForm
from spade_eval.reports.tables.paper_layout import measured_table, published_table
from spade_eval.reports.tables.paper_tables import paper_table
from spade_eval.reports.tables.plain_rows import rows_of_frame
from spade_eval.reports.tables.published import paper_dataset
from spade_eval.reports.tables.table import Table
from spade_eval.reports.tables.writing import NO_PARQUET, has_parquet, write_forms, write_text


def write_paper_table(
    table: PaperTable, run_folders: Sequence[Path], folder: Path, *, unverified: bool = False
) -> RunReport:
    """Write a table of these runs into a folder as `tableN.*`; see `paper_table`."""
    return write_table_of_runs(
        table, [open_run(run) for run in run_folders], folder, unverified=unverified
    )


def write_table_of_runs(
    table: PaperTable,
    runs: Sequence[RunData],
    folder: Path,
    *,
    unverified: bool = False,
    latex: LatexForm = PLAIN,
) -> RunReport:
    """Write the same for runs that are open already."""
    together = merged(runs)
    groups = by_protocol(together.measurements)
    folders = [run.folder for run in runs]
    measured = paper_table(table, groups, folders, unverified=unverified)
    measured.attrs["notes"] += [item.sentence() for item in together.disagreements]
    parts = [measured_table(measured, together.measurements)]
    paths = write_forms(parts[0], folder, table.stem, latex)
    published = paper_table(table, [], unverified=unverified)
    printed = bool(table.paper.numbers)
    if printed and not any(paper_dataset(name) for name in measured["dataset"]):
        parts.append(published_table(table, published))
        paths += write_forms(parts[1], folder, f"{table.stem}_paper")
    order = [f"Order: {line}" for line in ordering_lines(measured, published) if printed]
    said = order + ([] if has_parquet() else [NO_PARQUET])
    text = "\n\n".join([*map(_text, parts), *(["\n".join(said)] if said else [])])
    paths.append(write_text(f"{text}\n", folder / f"{table.stem}.txt"))
    page = "\n".join([*map(as_markdown, parts), *(f"- {markdown_escaped(line)}" for line in said)])
    write_text(f"{page}\n", folder / f"{table.stem}.md")
    paths += _plots(table, measured, published, folder)
    web_page = ReportData(
        title=", ".join(run.name for run in runs),
        runs=tuple(runs),
        sections=tuple(_sections(table, parts)),
        notes=tuple(order),
    )
    paths += write_page(web_page, folder / f"{table.stem}_html")
    notes = (*filter(None, [measured.attrs["shown"]]), *measured.attrs["notes"], *said)
    return RunReport(tuple(paths), text, rows_of_frame(measured), notes)


def pairs_of(table: PaperTable) -> int:
    """Count the differences that a table is about before anything is measured."""
    if table.paper.numbers:
        return num_ordered(paper_table(table, []), table.metrics[0])
    groups = Counter(row.group for row in table.rows if row.model is not None)
    return sum(math.comb(size, 2) for size in groups.values())


def decided_pairs(table: PaperTable, runs: Sequence[RunData]) -> tuple[int, int, str]:
    """Count the differences that a table is about, decided ones and all, in its first metric.

    With the metric's label. Of a paper's table these are the tested ones of the pairs that the
    paper orders, else all tested pairs of a group.
    """
    measured, metric = paper_table(table, by_protocol(merged(runs).measurements)), table.metrics[0]
    label = measured.attrs["metrics"][metric]["label"]
    if not table.paper.numbers:
        standings = [found[metric].standing for found in measured.attrs["results"].values()]
        shown = sum(len(item.shown) for item in standings)
        return shown, sum(item.num_pairs for item in standings), label
    published = paper_table(table, [])
    pairs = [
        pair
        for _, rows in measured.groupby("dataset", sort=False)
        for pair in ordered_pairs(rows, published, metric)
    ]
    tested = [pair for pair in pairs if pair.verdict != "not tested"]
    return sum(pair.is_decided for pair in tested), len(tested), label


def _text(table: Table) -> str:
    return "\n".join([table.title, "", *text_with_notes(table)])


def _sections(table: PaperTable, parts: Sequence[Table]) -> Iterator[Section]:
    """Yield the table on a page and, where it has no number of the paper's, the paper's own."""
    title, lead = table.title, "Measured here; no paper has this table."
    if table.paper.numbers:
        title = "The paper's table"
        lead = (
            f"{table.paper.authors}, {table.paper.venue}: measured here, printed there, and the "
            "difference where both follow one protocol."
        )
    for part, (anchor, name) in zip(parts, (("", ""), ("-printed", " as printed")), strict=False):
        yield Section(
            anchor=f"table-{table.short}{anchor}",
            nav=f"{table.name}{name}",
            title=title,
            lead=lead,
            tables=(part,),
        )


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
