# SPDX-License-Identifier: Apache-2.0
"""Training curves of a run: losses of every model, and scores on the fixed subset where taken.

Read from `checkpoints/MODEL-HASH/losses.jsonl` and `scores.jsonl`, one JSON object a line with a
`step`. Raw values are drawn faintly and their running mean over a tenth of the steps on top.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spade_eval.json_fields import parsed_json
from spade_eval.reports.measured.grouping import shortened
from spade_eval.reports.plots.page import (
    INK,
    MARGIN,
    WIDTH,
    Page,
    Palette,
    Plot,
    both_grids,
    settings,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curve = tuple[list[float], list[float]]  # steps, values
_FILES = ("losses.jsonl", "scores.jsonl")
_COLUMNS = 3
_HEIGHT = 1.25
_LONGEST_NAME = 28
_HASH = 8  # letters of it in the name of a training's folder


def read_curves(path: Path) -> dict[str, Curve]:
    """Read the curves of a log by name; lines that are cut off or no numbers are left out."""
    curves: dict[str, Curve] = defaultdict(lambda: ([], []))
    for line in path.read_text("utf-8", errors="replace").splitlines():
        try:
            fields = parsed_json(line)
            step = float(fields.pop("step"))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        for name, value in fields.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                curves[name][0].append(step)
                curves[name][1].append(float(value))
    return dict(curves)


def curves_of(run_folder: Path) -> dict[str, dict[str, Curve]]:
    """Return {name of the curve: {model: curve}} over all checkpoints of a run."""
    by_name: dict[str, dict[str, Curve]] = defaultdict(dict)
    for folder in sorted((run_folder / "checkpoints").glob("*")):
        for file in _FILES:
            path = folder / file
            if path.is_file():
                for name, curve in read_curves(path).items():
                    by_name[name][folder.name] = curve
    return dict(by_name)


def plot_training(run_folder: Path, folder: Path, palette: Palette | None = None) -> list[Plot]:
    """Write `training`: a panel a loss or score, a line a model; nothing without logs."""
    curves = {name: models for name, models in curves_of(run_folder).items() if models}
    if not curves:
        return []
    models = list(dict.fromkeys(model for by_model in curves.values() for model in by_model))
    looks, dashes = training_looks(models, palette or Palette([]))
    num_lines = math.ceil(len(curves) / _COLUMNS)
    legend_lines = math.ceil(len(models) / _COLUMNS)
    with settings():
        pitch, top = _HEIGHT + 0.5, 0.165 * legend_lines + 0.3
        caption = "Faint: as logged; full: running mean over a tenth of the steps."
        page = Page(f"Training: {run_folder.resolve().name}", [caption], top + num_lines * pitch)
        width = (WIDTH - MARGIN - 0.5 * _COLUMNS) / _COLUMNS
        for place, (name, by_model) in enumerate(curves.items()):
            line, column = divmod(place, _COLUMNS)
            axes = page.axes(0.5 + column * (width + 0.5), top + line * pitch, width, _HEIGHT)
            axes.set_title(name, fontsize=8, loc="left", pad=3, color=INK)
            for model, curve in by_model.items():
                _draw_curve(axes, curve, looks[model], dashes[model])
            axes.set_xlabel("step", fontsize=6.5, labelpad=1)
            both_grids(axes)
        _legend(page, looks, dashes)
        return [page.save_forms(folder, "training", caption)]


def training_looks(
    trainings: Sequence[str], palette: Palette
) -> tuple[dict[str, str], dict[str, tuple[int, tuple[int, ...]]]]:
    """Return colours and dashes of trainings, MODEL-HASH each: the colour is the model's.

    A second training of a model has another dash, and so has one whose colour is taken.
    """
    looks: dict[str, str] = {}
    dashes = {}
    for training in trainings:
        color, _ = palette.of(model_of(training))
        dashes[training] = _DASHES[list(looks.values()).count(color) % len(_DASHES)]
        looks[training] = color
    return looks, dashes


def model_of(training: str) -> str:
    """Return the model that a folder of `checkpoints/` is named after."""
    model, _, digest = training.rpartition("-")
    return model if model and len(digest) == _HASH else training


_DASHES: tuple[tuple[int, tuple[int, ...]], ...] = ((0, ()), (0, (4, 2)), (0, (1, 1)))


def _draw_curve(
    axes: "Axes", curve: Curve, color: str, dashes: tuple[int, tuple[int, ...]]
) -> None:
    steps, values = curve
    axes.plot(steps, values, color=color, linewidth=0.5, alpha=0.35)
    axes.plot(steps, smoothed(values), color=color, linewidth=1.2, linestyle=dashes)


def smoothed(values: Sequence[float]) -> list[float]:
    """Average over the last tenth of the values so far."""
    window = max(1, len(values) // 10)
    return [
        math.fsum(part := values[max(0, place - window + 1) : place + 1]) / len(part)
        for place in range(len(values))
    ]


def _legend(
    page: Page, looks: Mapping[str, str], dashes: Mapping[str, tuple[int, tuple[int, ...]]]
) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=looks[name], linestyle=dashes[name]) for name in looks]
    models = [model_of(name) for name in looks]
    titles = [
        model if models.count(model) == 1 else name
        for name, model in zip(looks, models, strict=True)
    ]
    page.figure.legend(
        handles, [shortened(title, _LONGEST_NAME) for title in titles], ncols=_COLUMNS,
        loc="upper left", bbox_to_anchor=(0.5 * MARGIN / WIDTH, 1 - page.top / page.height),
        frameon=False,
        fontsize=7, borderaxespad=0.0,
    )  # fmt: skip
