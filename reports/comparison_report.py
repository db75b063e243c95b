# SPDX-License-Identifier: Apache-2.0
"""Comparisons within one run folder: of each subject text, Markdown, CSV files, figures, a page."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from spade_eval.errors import UserError
from spade_eval.reports.html.report_data import ReportData
from spade_eval.reports.measured.grouping import ProtocolGroup
from spade_eval.reports.measured.run_data import RunData
from spade_eval.reports.plots.differences import plot_class_differences, plot_differences
from spade_eval.reports.plots.page import Plot
from spade_eval.reports.run_report import RunReport, files_of, has_plots, write_page
from spade_eval.reports.runs import open_run
from spade_eval.reports.statistics.comparison import Comparison, Pair, compare
from spade_eval.reports.statistics.intervals import intervals_of
from spade_eval.reports.tables.formats import as_latex, as_markdown, as_text, markdown_escaped
from spade_eval.reports.tables.printed import Column, Printed, name_column, rounded
from spade_eval.reports.tables.writing import write_csv, write_text

_CLASSES_SHOWN = 10


def write_comparisons(
    run_folder: Path, subjects: Sequence[str], baselines: Sequence[str]
) -> RunReport:
    """Compare each subject with all baselines of a run; files go to `compare/SUBJECT`.

    `UserError` for a name that no row of the run has.
    """
    run = open_run(run_folder)
    paths: list[Path] = []
    texts = []
    for subject in subjects:
        group = _group_with([subject, *baselines], run)
        comparison = compare(group, subject, baselines, run_folder)
        folder = run_folder / "compare" / re.sub(r"[^A-Za-z0-9._+-]+", "-", subject)
        written, plots = write_comparison(comparison, folder)
        page = ReportData(
            title=run.name,
            runs=(run,),
            groups=(group,),
            intervals=intervals_of([group], [run.folder]),
            comparison=comparison,
            plots=tuple(plots),
        )
        paths += [*written.paths, *write_page(page, folder / "html")]
        texts.append(written.text)
    return RunReport(tuple(paths), "\n\n".join(texts))


def _group_with(names: Sequence[str], run: RunData) -> ProtocolGroup:
    """The group of the one protocol under which all of these rows were scored."""
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
    tables = list(_tables(comparison))
    text = "\n\n".join([comparison.title, *(f"{t.title}\n\n{as_text(t)}" for t in tables)])
    text = "\n".join([text, *(f"Note: {note}" for note in comparison.notes)])
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
    return RunReport((*paths, *files_of(plots)), text), plots


def differences_frame(comparison: Comparison) -> pd.DataFrame:
    """One line a metric and baseline, as recorded."""
    columns = ("baseline", "metric", "unit", "larger_is_better", "subject", "baseline_value",
               "difference", "low", "high", "method", "verdict")  # fmt: skip
    lines = [
        (pair.baseline, item.metric, item.unit, item.larger_is_better, item.subject,
         item.baseline, item.difference, item.low, item.high, item.method, item.verdict)
        for pair in comparison.pairs
        for item in pair.differences
    ]  # fmt: skip
    return pd.DataFrame(lines, columns=list(columns))


def classes_frame(comparison: Comparison) -> pd.DataFrame:
    """One line a class and baseline: IoU in fractions."""
    columns = ("baseline", "class", "subject", "baseline_value", "difference", "low", "high",
               "verdict")  # fmt: skip
    lines = [
        (pair.baseline, item.name, item.subject, item.baseline, item.difference, item.low,
         item.high, item.verdict)
        for pair in comparison.pairs
        for item in pair.classes
    ]  # fmt: skip
    return pd.DataFrame(lines, columns=list(columns))


def images_frame(comparison: Comparison) -> pd.DataFrame:
    """One line an image and baseline: pixel accuracies, largest difference first."""
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


def _tables(comparison: Comparison) -> Iterator[Printed]:
    for pair in comparison.pairs:
        yield _differences(pair)
        if pair.classes:
            yield _classes(pair)
        if pair.images:
            yield _images(pair)


def _differences(pair: Pair) -> Printed:
    factors = [100 if item.unit == "%" else 1 for item in pair.differences]
    decimals = [_decimals(item.subject, item.unit) for item in pair.differences]
    shown = list(zip(pair.differences, factors, decimals, strict=True))
    return Printed(
        title=f"{pair.subject} against {pair.baseline}",
        columns=(
            name_column("metric", [_metric(i.label, i.unit) for i in pair.differences]),
            _numbers(pair.subject, [rounded(f * i.subject, d) for i, f, d in shown]),
            _numbers(pair.baseline, [rounded(f * i.baseline, d) for i, f, d in shown]),
            _numbers("difference", [_signed(f * i.difference, d) for i, f, d in shown]),
            _numbers("95% interval", [_interval(f * i.low, f * i.high, d) for i, f, d in shown]),
            name_column("verdict", [item.verdict for item in pair.differences]),
            name_column("interval by", [item.method or "-" for item in pair.differences]),
        ),
    )


def _classes(pair: Pair) -> Printed:
    """Wins and losses that are shown, the largest of each."""
    wins = [item for item in pair.classes if item.verdict == "better"]
    losses = [item for item in reversed(pair.classes) if item.verdict == "worse"]
    rest = len(pair.classes) - len(wins) - len(losses)
    shown = [*wins[:_CLASSES_SHOWN], *reversed(losses[:_CLASSES_SHOWN])]
    return Printed(
        title=f"IoU by class, {pair.subject} against {pair.baseline}: {len(wins)} won, "
        f"{len(losses)} lost, {rest} with no difference shown (largest below, all in classes.csv)",
        columns=(
            name_column("class", [item.name for item in shown]),
            _numbers(pair.subject, [rounded(100 * item.subject, 2) for item in shown]),
            _numbers(pair.baseline, [rounded(100 * item.baseline, 2) for item in shown]),
            _numbers("difference", [_signed(100 * item.difference, 2) for item in shown]),
            _numbers("95% interval", [_interval(100 * i.low, 100 * i.high, 2) for i in shown]),
            name_column("verdict", [item.verdict for item in shown]),
        ),
    )


def _images(pair: Pair) -> Printed:
    shown = pair.images[:_CLASSES_SHOWN]
    return Printed(
        title=f"Images on which {pair.subject} and {pair.baseline} differ most, accuracy in %",
        columns=(
            name_column("image", [item.name for item in shown]),
            _numbers(pair.subject, [rounded(100 * item.subject, 2) for item in shown]),
            _numbers(pair.baseline, [rounded(100 * item.baseline, 2) for item in shown]),
            _numbers("difference", [_signed(100 * item.difference, 2) for item in shown]),
        ),
    )


def _numbers(heading: str, texts: list[str]) -> Column:
    return name_column(heading, texts, is_name=False)


def _metric(label: str, unit: str) -> str:
    return f"{label}, {unit}" if unit else label


def _decimals(value: float, unit: str) -> int:
    return 4 if unit != "%" and abs(value) < 1 else 2


def _signed(value: float, decimals: int) -> str:
    text = rounded(value, decimals)
    return text if text.startswith("-") else f"+{text}"


def _interval(low: float, high: float, decimals: int) -> str:
    if low != low:
        return "-"
    return f"[{_signed(low, decimals)}, {_signed(high, decimals)}]"
