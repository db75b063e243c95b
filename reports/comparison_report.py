# SPDX-License-Identifier: Apache-2.0
"""Comparisons within one run folder: of each subject text, Markdown, CSV files, figures, a page."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from spade_eval.errors import UserError
from spade_eval.reports.html.report_data import ReportData, Section
from spade_eval.reports.measured.grouping import ProtocolGroup
from spade_eval.reports.measured.run_data import RunData
from spade_eval.reports.plots.differences import plot_class_differences, plot_differences
from spade_eval.reports.plots.page import Plot
from spade_eval.reports.run_report import (
    RunReport,
    files_of,
    group_sections,
    has_plots,
    write_page,
)
from spade_eval.reports.runs import open_run
from spade_eval.reports.statistics.comparison import compare
from spade_eval.reports.statistics.differences import Comparison
from spade_eval.reports.statistics.intervals import uncertainties_of
from spade_eval.reports.tables.comparisons import (
    class_lists,
    class_table,
    difference_table,
    image_lists,
)
from spade_eval.reports.tables.formats import as_markdown, as_text, markdown_escaped
from spade_eval.reports.tables.latex import as_latex
from spade_eval.reports.tables.plain_rows import PlainRow
from spade_eval.reports.tables.table import Table
from spade_eval.reports.tables.writing import write_csv, write_text

_MOST_SHOWN = 10


def write_comparisons(
    run_folder: Path, subjects: Sequence[str], baselines: Sequence[str]
) -> RunReport:
    """Compare each subject with all baselines of a run; files go to `compare/SUBJECT`.

    `UserError` for a name that no row of the run has.
    """
    run = open_run(run_folder)
    paths: list[Path] = []
    texts = []
    lines: list[PlainRow] = []
    for subject in subjects:
        group = group_with([subject, *baselines], run)
        comparison = compare(group, subject, baselines, run_folder)
        folder = run_folder / "compare" / re.sub(r"[^A-Za-z0-9._+-]+", "-", subject)
        written, plots = write_comparison(comparison, folder)
        page = comparison_page(comparison, group, run, plots)
        paths += [*written.paths, *write_page(page, folder / "html")]
        texts.append(written.text)
        frame = differences_frame(comparison).assign(row=subject)
        lines += frame.astype(object).where(frame.notna(), None).to_dict("records")
    return RunReport(tuple(paths), "\n\n".join(texts), comparisons=tuple(lines))


def comparison_page(
    comparison: Comparison, group: ProtocolGroup, run: RunData, plots: Sequence[Plot]
) -> ReportData:
    """Return what the page of a comparison shows, the scores of all rows below it."""
    scores_of_all = group_sections([group], uncertainties_of([group], [run.folder]))
    return ReportData(
        title=run.name,
        runs=(run,),
        sections=(comparison_section(comparison), *scores_of_all),
        plots=tuple(plots),
    )


def compared_images(
    run_folder: Path, subjects: Sequence[str], baselines: Sequence[str]
) -> list[str]:
    """Return the names of the images that `write_comparisons` shows, each once."""
    run = open_run(run_folder)
    pairs = [
        pair
        for subject in subjects
        for pair in compare(
            group_with([subject, *baselines], run), subject, baselines, run_folder
        ).pairs
    ]
    return list(dict.fromkeys(item.name for pair in pairs for item in pair.images))


def group_with(names: Sequence[str], run: RunData) -> ProtocolGroup:
    """Return the group of the one protocol under which all of these rows were scored."""
    missing: list[str] = []
    for group in run.groups:
        titles = [row.title for row in group.rows]
        missing = [name for name in names if name not in titles]
        if not missing:
            return group
    raise UserError(
        f"no row is called {missing[0]!r} where the others are; give models with --model, or "
        "--checkpoint NAME=FILE and --images NAME=DIR, and compare by those names"
    )


def write_comparison(comparison: Comparison, folder: Path) -> tuple[RunReport, list[Plot]]:
    """Write `comparison.md`, `.tex`, three CSV files and the figures into a folder."""
    plots = _plots(comparison, folder)
    tables = list(_tables(comparison, folder))
    page = [f"# {markdown_escaped(comparison.title)}", *(as_markdown(table) for table in tables)]
    page += [f"![{markdown_escaped(plot.title)}]({plot.png.name})" for plot in plots]
    page.append("\n".join(f"- {markdown_escaped(note)}" for note in comparison.notes))
    latex = "\n".join(
        as_latex(table, f"tab:comparison-{place}") for place, table in enumerate(tables)
    )
    paths = [
        write_text("\n\n".join(page) + "\n", folder / "comparison.md"),
        write_text(latex, folder / "comparison.tex"),
        write_csv(differences_frame(comparison), folder / "differences.csv"),
        write_csv(classes_frame(comparison), folder / "classes.csv"),
        write_csv(images_frame(comparison), folder / "images.csv"),
    ]
    return RunReport((*paths, *files_of(plots)), comparison_text(comparison, folder)), plots


def comparison_text(comparison: Comparison, folder: Path | None = None) -> str:
    """Write a comparison as it is printed."""
    tables = [f"{table.title}\n\n{as_text(table)}" for table in _tables(comparison, folder)]
    text = "\n\n".join([comparison.title, *tables])
    return "\n".join([text, *(f"Note: {note}" for note in comparison.notes)])


def differences_frame(comparison: Comparison) -> pd.DataFrame:
    """Return a line for each metric and baseline, as recorded."""
    columns = ("baseline", "metric", "unit", "larger_is_better", "subject", "baseline_value",
               "difference", "low", "high", "method", "verdict",
               "corrected", "standard_error", "num_images", "smallest", "needed",
               "p_value")  # fmt: skip
    lines = [
        (pair.baseline, item.metric, item.unit, item.larger_is_better, item.subject,
         item.baseline, item.difference, item.low, item.high, item.method, item.verdict,
         item.corrected, item.standard_error, item.num_images, item.smallest, item.needed,
         item.p_value)
        for pair in comparison.pairs
        for item in pair.differences
    ]  # fmt: skip
    return pd.DataFrame(lines, columns=list(columns))


def classes_frame(comparison: Comparison) -> pd.DataFrame:
    """Return a line for each class and baseline: IoU in fractions."""
    columns = ("baseline", "class", "subject", "baseline_value", "difference", "low", "high",
               "verdict", "p_value")  # fmt: skip
    lines = [
        (pair.baseline, item.name, item.subject, item.baseline, item.difference, item.low,
         item.high, item.verdict, item.p_value)
        for pair in comparison.pairs
        for item in pair.classes
    ]  # fmt: skip
    return pd.DataFrame(lines, columns=list(columns))


def images_frame(comparison: Comparison) -> pd.DataFrame:
    """Return a line for each image and baseline: pixel accuracies, largest difference first."""
    columns = ("baseline", "image", "subject", "baseline_value", "difference")
    lines = [
        (pair.baseline, item.name, item.subject, item.baseline, item.difference)
        for pair in comparison.pairs
        for item in pair.images
    ]
    return pd.DataFrame(lines, columns=list(columns))


def _plots(comparison: Comparison, folder: Path) -> list[Plot]:
    if not has_plots():
        return []
    plots = plot_differences(comparison, folder)
    for pair in comparison.pairs:
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", pair.baseline)
        plots += plot_class_differences(pair, comparison.title, folder, f"classes_against_{name}")
    return plots


def _tables(comparison: Comparison, folder: Path | None) -> Iterator[Table]:
    """Yield tables for print: of classes and images the largest differences, won and lost apart."""
    for pair in comparison.pairs:
        yield difference_table(pair)
        yield from class_lists(pair, _MOST_SHOWN)
        yield from image_lists(pair, _MOST_SHOWN, folder)


def comparison_section(comparison: Comparison) -> Section:
    """Make the page's section of a comparison: of every baseline metrics, all classes, images."""
    tables: list[Table] = []
    for pair in comparison.pairs:
        tables.append(difference_table(pair, comparison.notes))
        tables += [class_table(pair)] if pair.classes else []
        tables += image_lists(pair)
    return Section(
        anchor="comparison",
        nav="Comparison",
        title=comparison.title,
        lead="Differences are the model minus the baseline; intervals hold 95%.",
        tables=tuple(tables),
    )
