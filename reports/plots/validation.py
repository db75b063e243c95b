# SPDX-License-Identifier: Apache-2.0
"""Measured coverage against the number of images: a panel for intervals, one for false verdicts."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from spade_eval.reports.plots.page import (
    INK,
    WIDTH,
    Page,
    Palette,
    Plot,
    both_grids,
    marker_style,
    settings,
)
from spade_eval.reports.statistics.validation import IOU, Validated

_HEIGHT = 2.4
_BESIDE = 1.05  # of N, from one metric to the next
_LINES = "Points: means over rows; upright lines: from the least row to the most."
_PANELS = {
    "coverage": ("intervals that hold the truth, %", 95),
    "false_verdicts": ("false verdicts, %", 5),
}


def plot_validation(
    items: Sequence[Validated], labels: Mapping[str, str], folder: Path, notes: Sequence[str]
) -> Plot:
    """Write `validation`: a line a metric, the mean over rows, bars from the least to the most."""
    metrics = list(dict.fromkeys(i.metric for i in items if not i.metric.startswith(f"{IOU} ")))
    palette = Palette(metrics)
    looks = [palette.of(metric) for metric in metrics]
    with settings():
        page = Page("Intervals of 95% against a known population", [_LINES, *notes], _HEIGHT + 0.45)
        width = (WIDTH - 2.6) / 2
        for place, (field, (title, aim)) in enumerate(_PANELS.items()):
            axes = page.axes(0.5 + place * (width + 0.45), 0.2, width, _HEIGHT)
            axes.axhline(aim, color=INK, linewidth=0.7, linestyle=(0, (4, 3)))
            for number, (metric, (color, marker)) in enumerate(zip(metrics, looks, strict=True)):
                found = _by_count(items, metric, field)
                # Side by side: at one N the lines of several metrics would hide each other.
                beside = _BESIDE ** (number - (len(metrics) - 1) / 2)
                places = [beside * count for count in found]
                means = [sum(values) / len(values) for values in found.values()]
                style = marker_style(color, marker) | {"linestyle": "-"}
                name = labels.get(metric, metric)
                axes.plot(places, means, **style, linewidth=1.1, markersize=4.5, label=name)
                for place_of_count, values in zip(places, found.values(), strict=True):
                    axes.plot([place_of_count] * 2, [min(values), max(values)], color=color, lw=1.4)
            axes.set_title(title, fontsize=8, loc="left", color=INK)
            axes.set_xscale("log")
            ticks = sorted({item.num_images for item in items})
            axes.set_xticks(ticks, labels=[f"{tick:,}" for tick in ticks])
            axes.minorticks_off()
            axes.set_xlabel("N", fontsize=8, color=INK)
            both_grids(axes)
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize=7)
        return page.save_forms(folder, "validation", "Measured coverage and false verdicts.")


def _by_count(items: Sequence[Validated], metric: str, field: str) -> dict[int, list[float]]:
    """{N: percentages of all rows that have one}."""
    found: dict[int, list[float]] = {}
    for item in items:
        value = getattr(item, field)
        if item.metric == metric and not math.isnan(value):
            found.setdefault(item.num_images, []).append(100 * value)
    return dict(sorted(found.items()))
