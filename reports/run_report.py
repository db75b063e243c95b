# SPDX-License-Identifier: Apache-2.0
"""Everything that can be shown of a run folder: printed tables, CSV files, figures, samples.

Reads `records.jsonl` and `images/` of the folder and nothing else. A run measured under one
protocol has its files directly in `tables/` and `plots/`; under several, each has a folder there.
"""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reports.grouping import (
    REFERENCE_KINDS,
    by_protocol,
    footnotes,
    protocol_details,
    protocol_title,
)
from reports.plots import plot_metric_bars, plot_per_class_iou
from reports.samples import MAX_ROWS, samples_grid
from reports.tables import printed_table, scores_table, write_tables
from spade_eval.errors import UserError
from spade_eval.records import Measurement, RecordStore

# The engine writes the inputs and the photos beside the sources' own images.
_FIRST_COLUMNS = ("label map", *REFERENCE_KINDS)
_FILE_NAMES = {
    "tables": ("scores.csv", "per_class_iou.csv"),
    "plots": ("scores.png", "per_class_iou.png"),
}


@dataclass(frozen=True)
class RunReport:
    """What `write_report` wrote, and the text that the command line prints."""

    paths: tuple[Path, ...]
    text: str


def write_report(run_folder: Path) -> RunReport:
    """Write tables, plots and samples of a run; `UserError` where nothing is recorded yet."""
    measurements = list(RecordStore(run_folder / "records.jsonl"))
    if not measurements:
        raise UserError(
            f"{run_folder / 'records.jsonl'}: holds no complete measurement, so there is nothing "
            f"to report; run `spade-eval benchmark --out {run_folder}` first"
        )
    groups = by_protocol(measurements)
    plots = importlib.util.find_spec("matplotlib") is not None
    paths: list[Path] = []
    for key, group in groups.items():
        inner = key.slug if len(groups) > 1 else ""
        paths += write_tables(group, run_folder / "tables" / inner)
        if plots:
            paths += plot_metric_bars(group, run_folder / "plots" / inner)
            paths += plot_per_class_iou(group, run_folder / "plots" / inner)
    if len(groups) > 1:
        _remove_single_report(run_folder)
    paths += _write_samples(run_folder, measurements)
    texts = [report_text(group) for group in groups.values()]
    if not plots:
        texts.append("No plots: matplotlib is not installed; tables and samples are complete.")
    return RunReport(tuple(paths), "\n\n".join(texts))


def report_text(measurements: Sequence[Measurement]) -> str:
    """Title, table and footnotes of one protocol as text."""
    table = printed_table(scores_table(measurements))
    notes = ["↑ larger is better, ↓ smaller is better"]
    if "*" in table:
        notes[0] += ", * best model of the column"
    lines = [protocol_title(measurements), protocol_details(measurements), "", table, *notes]
    return "\n".join([*lines, *(f"Note: {note}" for note in footnotes(measurements))])


def _remove_single_report(run_folder: Path) -> None:
    """Files from when the run had one protocol; the same numbers now stand in its own folder."""
    for folder, names in _FILE_NAMES.items():
        for name in names:
            (run_folder / folder / name).unlink(missing_ok=True)


def _write_samples(run_folder: Path, measurements: Sequence[Measurement]) -> list[Path]:
    images = run_folder / "images"
    present = sorted(folder.name for folder in images.iterdir()) if images.is_dir() else []
    present = [name for name in present if any((images / name).glob("*.png"))]
    if not present:
        return []
    order = dict.fromkeys([*_FIRST_COLUMNS, *(item.source for item in measurements), *present])
    titles = [name for name in order if name in present]
    stems = sorted(path.stem for path in (images / titles[0]).glob("*.png"))[:MAX_ROWS]
    columns = {title: [images / title / f"{stem}.png" for stem in stems] for title in titles}
    # With several protocols in one folder nothing says which of them the images belong to.
    title = [f"{protocol_title(measurements)}."] if len(by_protocol(measurements)) == 1 else []
    caption = " ".join([*title, *footnotes(measurements)])
    return [samples_grid(columns, run_folder / "samples.png", caption)]
