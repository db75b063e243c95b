# SPDX-License-Identifier: Apache-2.0
"""Everything that can be shown of a run folder: printed tables, files, figures, samples, a page.

Reads what the run recorded and stored and nothing else. A run measured under one protocol has its
files directly in `tables/` and `plots/`; under several, each has a folder there.
"""

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from spade_eval.errors import UserError
from spade_eval.figures.grid import MAX_ROWS, samples_grid
from spade_eval.reports.html.report_data import ReportData, Section
from spade_eval.reports.measured.grouping import REFERENCE_KINDS, ProtocolGroup, own_folder
from spade_eval.reports.measured.provenance import machines, shared_provenance
from spade_eval.reports.measured.run_data import RunData
from spade_eval.reports.plots.bars import plot_metric_bars
from spade_eval.reports.plots.classes import plot_per_class_iou
from spade_eval.reports.plots.page import Palette, Plot
from spade_eval.reports.plots.sample_size import plot_distance_against_count
from spade_eval.reports.plots.tradeoff import plot_precision_recall, plot_tradeoff
from spade_eval.reports.plots.training import plot_training
from spade_eval.reports.runs import open_run
from spade_eval.reports.statistics.intervals import Uncertainties, Uncertainty, uncertainties_of
from spade_eval.reports.tables.draws import draws_table
from spade_eval.reports.tables.filled_page import fill_with_scores, has_block
from spade_eval.reports.tables.formats import as_text, text_with_notes
from spade_eval.reports.tables.joined import Joined, joined
from spade_eval.reports.tables.latex import PLAIN, LatexForm
from spade_eval.reports.tables.plain_rows import PlainRow, rows_of_groups
from spade_eval.reports.tables.score_layout import classes, scores, write_tables
from spade_eval.reports.tables.table import MARKED
from spade_eval.reports.tables.writing import NO_PARQUET, has_parquet

# The engine writes the inputs and the photos beside the sources' own images.
_FIRST_COLUMNS = ("label map", *REFERENCE_KINDS)
_TABLES = ("scores", "draws", "per_class_iou")
_PLOTS = ("scores", "per_class_iou", "tradeoff", "precision_recall", "distance_against_n")
_FORMS = {"tables": (_TABLES, ("csv", "md", "tex", "parquet")),
          "plots": (_PLOTS, ("png", "pdf", "svg"))}  # fmt: skip
NO_PLOTS = "No plots: matplotlib is not installed; tables and samples are complete."
NO_PAGE = "No web page: jinja2 is not installed; tables and plots are complete."


@dataclass(frozen=True)
class RunReport:
    """What was written, and what the command line prints: text, or the same as plain values."""

    paths: tuple[Path, ...]
    text: str
    rows: tuple[PlainRow, ...] = ()
    notes: tuple[str, ...] = ()
    comparisons: tuple[PlainRow, ...] = ()


def write_report(
    run_folder: Path, *, thorough: bool = False, latex: LatexForm = PLAIN
) -> RunReport:
    """Write everything of one run; `UserError` where nothing is recorded yet.

    `thorough` adds what takes minutes on Inception features: FID against N.
    """
    run = open_run(run_folder)
    for group in run.groups:
        latex.of(scores(group))  # an unknown column is refused before anything is computed
    known = uncertainties_of(run.groups, [run.folder])
    paths = write_run_tables(run, known, latex)
    plots = list(_plots(run, known, thorough)) if has_plots() else []
    paths += files_of(plots)
    if len(run.groups) > 1:
        _remove_single_report(run_folder)
    paths += _write_samples(run)
    together = joined(run, known)
    paths += together.write(run.folder / "tables")
    page = ReportData(
        title=run.name,
        runs=(run,),
        sections=(*group_sections(run.groups, known), *_joined_sections(together)),
        plots=tuple(plots),
    )
    paths += write_page(page, run_folder / "html")
    texts = [report_text(group, known[group.key]) for group in run.groups]
    texts += together.texts()
    notes = tuple(note for group in run.groups for note in group.notes)
    text = "\n\n".join([*texts, *missing_parts()])
    return RunReport(tuple(paths), text, rows_of_groups(run.groups, known), notes)


def printed_report(run_folder: Path) -> str:
    """Return the text of `write_report`; nothing is written."""
    groups = open_run(run_folder).groups
    known = uncertainties_of(groups, [run_folder])
    return "\n\n".join(report_text(group, known[group.key]) for group in groups)


def write_run_tables(
    run: RunData, known: Uncertainties | None = None, latex: LatexForm = PLAIN
) -> list[Path]:
    """Write the tables of a run folder, a folder a protocol where there are several."""
    if known is None:
        known = uncertainties_of(run.groups, [run.folder])
    paths = []
    for group in run.groups:
        folder = run.folder / "tables" / own_folder(group, run.groups)
        paths += write_tables(group, folder, known[group.key], latex)
    return paths


def write_page(report: ReportData, folder: Path) -> list[Path]:
    """Write the web page of a report; returns its path, none without jinja2."""
    if not has_page():
        return []
    from spade_eval.reports.html.report import write_html

    return write_html(report, folder)[:1]


def group_sections(groups: Sequence[ProtocolGroup], known: Uncertainties) -> tuple[Section, ...]:
    """Make a section of the page of the scores of every protocol."""
    sections = []
    for place, group in enumerate(groups, start=1):
        tables = [replace(scores(group, known[group.key]), title="Scores")]
        by_class = classes(group)
        drawn = draws_table(group, known[group.key])
        tables += [replace(drawn, title="Draws")] if drawn is not None else []
        tables += [replace(by_class, title="IoU by class")] if by_class.num_rows else []
        sections.append(
            Section(
                anchor=f"scores-{place}",
                nav="Scores" if len(groups) == 1 else f"Scores {place}",
                title=group.title,
                lead=group.details,
                tables=tuple(tables),
            )
        )
    return tuple(sections)


def _joined_sections(together: Joined) -> tuple[Section, ...]:
    """Make sections of the page of what no single protocol has."""
    return tuple(
        Section(
            anchor=name, nav=together.titles[name], title=together.titles[name],
            lead=together.leads[name], tables=tuple(tables),
        )
        for name, tables in together.tables.items()
    )  # fmt: skip


def report_text(group: ProtocolGroup, uncertainty: Uncertainty) -> str:
    """Write title, table and footnotes of one protocol as text."""
    notes = [f"Note: {note}" for note in group.notes]
    drawn = draws_table(group, uncertainty)
    below = [] if drawn is None else ["", drawn.title, "", *text_with_notes(drawn)]
    return "\n".join([printed_table(group, uncertainty), *notes, *below])


def printed_table(group: ProtocolGroup, uncertainty: Uncertainty) -> str:
    """Write title and table of one protocol as text."""
    table = scores(group, uncertainty)
    notes = ["↑ larger is better, ↓ smaller is better"]
    if table.has_ranks:
        notes[0] += f", * {MARKED}"
    notes += [table.shown] if table.shown else []
    return "\n".join([group.title, group.details, "", as_text(table), *notes])


def fill_page_with_run(run_folder: Path, page: Path) -> list[Path]:
    """Put what a page has blocks for into them: scores, segmenters, the red team.

    `UserError` where it has none, and for scores of several protocols.
    """
    run = open_run(run_folder)
    known = uncertainties_of(run.groups, [run.folder])
    filled = joined(run, known).fill(page, machines(run.measurements))
    return filled if filled and not has_block(page, "scores") else _fill_with_scores(run, page)


def _fill_with_scores(run: RunData, page: Path) -> list[Path]:
    if len(run.groups) > 1:
        raise UserError(
            f"{run.folder} was scored under {len(run.groups)} protocols, expected one table for "
            f"{page}; give a run of one protocol"
        )
    (group,) = run.groups
    models = {row.source for row in group.rows if row.is_trained}
    # Of a run that trained nothing, machine and code are those of all that it measured.
    measured_on = shared_provenance(run.measurements, models) or machines(run.measurements)
    lines = [*group.notes, *measured_on]
    csv = run.folder / "tables" / "scores.csv"
    known = uncertainties_of([group], [run.folder])[group.key]
    return fill_with_scores(page, printed_table(group, known), csv, lines)


def files_of(plots: list[Plot]) -> list[Path]:
    """List every file of some plots."""
    return [path for plot in plots for path in (plot.png, plot.pdf, plot.svg)]


def has_plots() -> bool:
    """Return whether figures can be drawn."""
    return importlib.util.find_spec("matplotlib") is not None


def has_page() -> bool:
    """Return whether the web page can be written."""
    return importlib.util.find_spec("jinja2") is not None


def missing_parts() -> list[str]:
    """Return a line for each part of a report that a missing package leaves out."""
    missing = []
    for there, line in (
        (has_plots(), NO_PLOTS),
        (has_parquet(), NO_PARQUET),
        (has_page(), NO_PAGE),
    ):
        missing += [] if there else [line]
    return missing


def _plots(run: RunData, known: Uncertainties, thorough: bool) -> Iterator[Plot]:
    palette = Palette.of_groups(run.groups)
    for group in run.groups:
        folder = run.folder / "plots" / own_folder(group, run.groups)
        yield from plot_metric_bars(group, folder, known[group.key].intervals, palette)
        yield from plot_per_class_iou(group, folder, palette)
        yield from plot_tradeoff(group, folder, palette)
        yield from plot_precision_recall(group, folder, palette)
        yield from plot_distance_against_count(
            group, run.folder, folder, palette, thorough=thorough
        )
    yield from plot_training(run.folder, run.folder / "plots", palette)


def _remove_single_report(run_folder: Path) -> None:
    """Files from when the run had one protocol; the same numbers now stand in its own folder."""
    for folder, (stems, forms) in _FORMS.items():
        for stem in stems:
            for form in forms:
                (run_folder / folder / f"{stem}.{form}").unlink(missing_ok=True)


def _write_samples(run: RunData) -> list[Path]:
    images = run.folder / "images"
    present = sorted(folder.name for folder in images.iterdir()) if images.is_dir() else []
    present = [name for name in present if any((images / name).glob("*.png"))]
    if not present:
        return []
    order = dict.fromkeys([*_FIRST_COLUMNS, *(item.source for item in run.measurements), *present])
    titles = [name for name in order if name in present]
    # A comparison keeps more images of the rows that it compares.
    of_rows = [{path.stem for path in (images / title).glob("*.png")} for title in titles]
    stems = sorted(set.intersection(*of_rows))[:MAX_ROWS]
    if not stems:
        return []
    columns = {title: [images / title / f"{stem}.png" for stem in stems] for title in titles}
    # With several protocols in one folder nothing says which of them the images belong to.
    title = [f"{group.title}." for group in run.groups] if len(run.groups) == 1 else []
    notes = dict.fromkeys(note for group in run.groups for note in group.notes)
    return [samples_grid(columns, run.folder / "samples.png", " ".join([*title, *notes]))]
