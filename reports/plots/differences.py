# SPDX-License-Identifier: Apache-2.0
"""Figures of a comparison: differences of the metrics, and of the IoU class by class, with 95%."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spade_eval.reports.measured.grouping import shortened
from spade_eval.reports.plots.page import INK, MARGIN, WIDTH, Page, Plot, settings, text_width, tidy
from spade_eval.reports.statistics.differences import ClassDifference, Comparison, Difference, Pair

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Blue for a win, vermilion for a loss, white where nothing is shown: apart in grey, too.
_COLORS = {"better": "#0072B2", "worse": "#D55E00"}
_MARKERS = {"better": "o", "worse": "s"}
_LONGEST_CLASS = 20
_PER_COLUMN = 46
_KEY = (
    "Circles: the subject is better; squares: worse; open diamonds: no difference shown (the 95% "
    "interval holds zero) or no interval."
)


def plot_differences(comparison: Comparison, folder: Path) -> list[Plot]:
    """Write `differences`: subject minus baseline in each metric, as a share of the baseline."""
    shown = [(pair, _with_interval(pair)) for pair in comparison.pairs]
    shown = [(pair, items) for pair, items in shown if items]
    if not shown:
        return []
    names = [
        f"{item.label} vs {shortened(pair.baseline, 18)}" for pair, items in shown for item in items
    ]
    with settings():
        left = text_width(names, 7.5) + MARGIN + 0.1
        height = 0.19 * len(names) + 0.1
        notes = [
            _KEY,
            "In percent of the baseline's value; distances are turned, so right is always better.",
            *comparison.notes,
        ]
        page = Page(comparison.title, notes, height + 0.55)
        axes = page.axes(left, 0.05, WIDTH - left - MARGIN - 0.1, height)
        items = [item for _, of_pair in shown for item in of_pair]
        for place, item in enumerate(items):
            sign = 1 if item.larger_is_better else -1
            scale = 100 * sign / abs(item.baseline) if item.baseline else math.nan
            ends = sorted((scale * item.low, scale * item.high))
            _draw_mark(axes, place, scale * item.difference, ends, item.verdict)
        _finish(axes, names, 7.5)
        axes.set_xlabel("difference, % of the baseline", fontsize=7.5, color=INK)
        return [page.save_forms(folder, "differences", "Differences with 95% intervals.")]


def plot_class_differences(pair: Pair, title: str, folder: Path, stem: str) -> list[Plot]:
    """Write one figure: IoU of the subject minus that of the baseline, largest win first."""
    classes = list(pair.classes)
    if not classes:
        return []
    num_columns = math.ceil(len(classes) / _PER_COLUMN)
    per_column = math.ceil(len(classes) / num_columns)
    pitch, size = (0.13, 5.5) if num_columns > 2 else (0.16, 7.0)
    with settings():
        names = [shortened(item.name, _LONGEST_CLASS) for item in classes]
        left = text_width(names, size) + 0.08
        width = (WIDTH - MARGIN) / num_columns
        heading = f"IoU difference by class, points: {pair.subject} minus {pair.baseline}. {title}"
        page = Page(heading, [_KEY], per_column * pitch + 0.3)
        limits = _limits(classes)
        for column in range(num_columns):
            part = classes[column * per_column : (column + 1) * per_column]
            x = MARGIN + column * width + left
            axes = page.axes(x, 0.0, width - left - MARGIN, len(part) * pitch)
            for place, item in enumerate(part):
                ends = [100 * item.low, 100 * item.high]
                _draw_mark(axes, place, 100 * item.difference, ends, item.verdict, 0.5 * size)
            axes.set_xlim(*limits)
            shown = [shortened(item.name, _LONGEST_CLASS) for item in part]
            _finish(axes, shown, size)
        return [page.save_forms(folder, stem, "IoU differences by class with 95% intervals.")]


def _with_interval(pair: Pair) -> list[Difference]:
    return [item for item in pair.differences if item.verdict != "no interval"]


def _draw_mark(
    axes: "Axes",
    place: int,
    value: float,
    ends: Sequence[float],
    verdict: str,
    size: float = 4.5,
) -> None:
    color = _COLORS.get(verdict, INK)
    if not any(map(math.isnan, ends)):
        axes.plot(ends, [place, place], color=color, linewidth=1.2, zorder=2)
    axes.plot(
        value, place, marker=_MARKERS.get(verdict, "D"), markersize=size, linestyle="none",
        markerfacecolor=color if verdict in _COLORS else "white", markeredgecolor=color,
        markeredgewidth=0.7, zorder=3,
    )  # fmt: skip


def _limits(classes: Sequence[ClassDifference]) -> tuple[float, float]:
    ends = [100 * end for item in classes for end in (item.low, item.high, item.difference)]
    known = [end for end in ends if not math.isnan(end)]
    low, high = min([0.0, *known]), max([0.0, *known])
    room = 0.05 * ((high - low) or 1.0)
    return low - room, high + room


def _finish(axes: "Axes", names: Sequence[str], size: float) -> None:
    axes.axvline(0, color=INK, linewidth=0.8, zorder=1)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_yticks(range(len(names)), labels=names)
    tidy(axes, size)
