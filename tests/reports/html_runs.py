# SPDX-License-Identifier: Apache-2.0
"""Small run folders with records, per-image counts and pictures, and reports made of them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import synthetic
from numpy.typing import NDArray
from PIL import Image

from spade_eval.config import RunConfig, budget_for
from spade_eval.records import Measurement, RecordStore
from spade_eval.reports.html.report_data import ReportData
from spade_eval.reports.measured.counts import counts_path
from spade_eval.reports.measured.grouping import ProtocolGroup, by_protocol, metric_names
from spade_eval.reports.measured.run_data import RunData
from spade_eval.reports.plots.page import Plot
from spade_eval.reports.run_report import group_sections
from spade_eval.reports.statistics.intervals import Uncertainty
from spade_eval.reports.statistics.standings import NOTHING_TESTED, Standing

CLASSES = ("sky", "tree", "car")
COLORS = ((70, 130, 180), (20, 100, 45), (0, 200, 220))
SIZE = 16
SVG = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 100">
<path d="M 0 0 L 200 0 L 200 100 L 0 100 z" style="fill: #ffffff"/>
<path d="M 20 90 L 60 20" style="stroke: #222222"/><path d="M 0 0 h 9" style="fill: #d55e00"/></svg>
"""


def config() -> dict[str, Any]:
    """What a run writes into its config.json."""
    return RunConfig(
        dataset="scenes",
        profile="in-domain",
        budget_name="smoke",
        budget=budget_for("scenes", "smoke"),
        seed=0,
    ).as_json()


def image_counts(source: str, num_images: int, num_classes: int) -> NDArray[np.uint32]:
    """(N, 3, C) counts; the ground truth is the same for every source, some classes are absent."""
    truth = np.random.default_rng(0).integers(0, 100, (num_images, num_classes))
    truth[np.random.default_rng(1).random(truth.shape) < 0.3] = 0
    numbers = np.random.default_rng(list(source.encode()))
    hits = (truth * numbers.random(truth.shape)).astype(np.int64)
    predicted = hits + numbers.integers(0, 50, truth.shape)
    return np.stack([hits, truth, predicted], axis=1).astype(np.uint32)


def write_run(
    folder: Path,
    measurements: Sequence[Measurement],
    stems: Sequence[str],
    *,
    classes: Sequence[str] = CLASSES,
    kept: Mapping[str, int] | None = None,
    with_colors: bool = True,
) -> RunData:
    """A run folder; `kept` says how many pictures there are of a source, otherwise of all stems."""
    RecordStore(folder / "records.jsonl").append(measurements)
    (folder / "config.json").write_text(json.dumps(config()))
    if with_colors:
        stated = [
            {"name": name, "color": color} for name, color in zip(classes, COLORS, strict=False)
        ]
        (folder / "classes.json").write_text(json.dumps(stated))
    (folder / "counts").mkdir()
    for item in {item.source: item for item in measurements}.values():
        np.savez_compressed(
            counts_path(folder, item),
            names=np.array(stems, dtype=np.str_),
            ignore_index=np.array(255),
            counts=image_counts(item.source, len(stems), len(classes)),
            num_ignored=np.zeros(len(stems), np.uint32),
        )
    for source in ("label map", *dict.fromkeys(item.source for item in measurements)):
        write_pictures(folder / "images" / source, stems[: (kept or {}).get(source, len(stems))])
    return RunData(
        folder=folder, name=folder.name, config=config(), measurements=tuple(measurements)
    )


def write_pictures(folder: Path, stems: Sequence[str]) -> None:
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(list(folder.name.encode())).integers(0, 256, (SIZE, SIZE, 3))
    first = None
    for stem in stems:
        path = folder / f"{stem}.png"
        if first is None:
            first = path
            Image.fromarray(pixels.astype(np.uint8)).save(path)
        else:
            path.hardlink_to(first)


def report_of(
    runs: Sequence[RunData], *, title: str = "A report", plots: Sequence[Plot] = ()
) -> ReportData:
    """What `spade-eval report` hands to every form of a report."""
    groups = by_protocol(item for run in runs for item in run.measurements)
    known = {group.key: _uncertainty(group) for group in groups}
    return ReportData(
        title=title,
        runs=tuple(runs),
        sections=group_sections(groups, known),
        plots=tuple(plots),
    )


def _uncertainty(group: ProtocolGroup) -> Uncertainty:
    """Intervals of mIoU, and the first model shown to be above all others in every column."""
    models = tuple(row.title for row in group.rows if not row.is_reference)
    shown = frozenset((models[0], other) for other in models[1:])
    standing = Standing(models, shown, len(shown)) if shown else NOTHING_TESTED
    return Uncertainty(
        {(row.title, "miou"): (0.1, 0.2) for row in group.rows}, {},
        standings=dict.fromkeys(metric_names(group.rows), standing),
    )  # fmt: skip


def plot(folder: Path, title: str = "Scores") -> Plot:
    """A plot as matplotlib would write it, in little."""
    path = folder / "plot.svg"
    path.write_text(SVG)
    return Plot(title=title, caption="mIoU of every source.", svg=path, png=path, pdf=path)


def measurements(
    classes: Sequence[str] = CLASSES, models: Sequence[str] = ("spade", "concat"), **changes: Any
) -> list[Measurement]:
    """A run on `SIZE` x `SIZE` images."""
    return synthetic.run(models, classes=classes, height=SIZE, width=SIZE, **changes)
