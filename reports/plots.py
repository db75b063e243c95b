# SPDX-License-Identifier: Apache-2.0
"""Figures of scores, readable at the width of a paper's page and without colour vision.

One figure shows one protocol (see `reports.grouping`); its footer carries the same notes as the
printed table. Fractions are shown times 100.
"""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reports.grouping import (
    Row,
    footnotes,
    metric_names,
    protocol_title,
    rows,
    shortened,
    value_of,
)
from reports.page import (
    FAINT,
    HATCHES,
    INK,
    MARGIN,
    WIDTH,
    Page,
    marker_style,
    settings,
    styles,
    text_width,
    tidy,
)
from spade_eval.records import Measurement

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LONGEST_NAME, _LONGEST_CLASS = 30, 20
_GAP = 0.18  # inches between panels of a line
_HEAD, _FOOT = 0.22, 0.28  # inches above and below a panel: its title, its numbers
_LEGEND_SIZE = 7.5


def plot_metric_bars(measurements: Iterable[Measurement], folder: Path) -> list[Path]:
    """Write `scores.png`: a panel a metric, a bar a source; real and oracle hatched, with lines.

    All measurements must belong to one protocol (`ValueError` otherwise).
    """
    measurements = list(measurements)
    table_rows = rows(measurements)
    metrics = metric_names(table_rows)
    if not metrics:
        return []
    notes = ["↑ larger is better, ↓ smaller is better.", *footnotes(measurements)]
    if any(row.is_reference for row in table_rows):
        notes[0] += " Hatched bars and dashed lines are bounds, not models: real photos, oracle."
    with settings():
        names = [shortened(row.title, _LONGEST_NAME) for row in table_rows]
        titles = [_panel_title(table_rows, metric) for metric in metrics]
        left = text_width(names, 8) + MARGIN + 0.1
        num_columns, panel_width = _panels(WIDTH - left - MARGIN, titles)
        panel_height = 0.21 * len(table_rows) + 0.1
        pitch = _HEAD + panel_height + _FOOT
        num_lines = math.ceil(len(metrics) / num_columns)
        page = Page(protocol_title(measurements), notes, num_lines * pitch)
        for index, metric in enumerate(metrics):
            line, column = divmod(index, num_columns)
            x, y = left + column * (panel_width + _GAP), _HEAD + line * pitch
            axes = page.axes(x, y, panel_width, panel_height)
            axes.set_title(titles[index], fontsize=8, loc="left", pad=3, color=INK)
            _draw_bars(axes, table_rows, metric, names if column == 0 else [])
        return [page.save(folder / "scores.png")]


def plot_per_class_iou(measurements: Iterable[Measurement], folder: Path) -> list[Path]:
    """Write `per_class_iou.png`: a line a class, a mark a source, best class first.

    Classes without a value in any row are left out and counted in the footer. All measurements
    must belong to one protocol (`ValueError` otherwise).
    """
    measurements = list(measurements)
    table_rows = [row for row in rows(measurements) if row.class_iou]
    classes = _classes_by_mean(table_rows)
    if not classes:
        return []
    absent = len({name for row in table_rows for name in row.class_iou}) - len(classes)
    notes = ["Classes in order of their mean over the rows shown.", *footnotes(measurements)]
    if absent:
        notes[0] += f" Classes without a value in any row are left out: {absent}."
    num_columns = min(4, math.ceil(len(classes) / 24))
    per_column = math.ceil(len(classes) / num_columns)
    pitch, size = (0.125, 5.5) if num_columns > 2 else (0.175, 7.5)
    with settings():
        legend_columns, legend_height = _legend_size(table_rows)
        column_width = (WIDTH - MARGIN) / num_columns
        left = text_width([shortened(name, _LONGEST_CLASS) for name in classes], size) + 0.08
        title = f"IoU by class, % ↑: {protocol_title(measurements)}"
        page = Page(title, notes, legend_height + per_column * pitch + _FOOT)
        for column in range(num_columns):
            x = MARGIN + column * column_width + left
            names = classes[column * per_column : (column + 1) * per_column]
            # The last panel may hold fewer classes; their distance stays the same.
            axes = page.axes(x, legend_height, column_width - left - MARGIN, len(names) * pitch)
            _draw_marks(axes, table_rows, names, size)
        _draw_legend(page, table_rows, legend_columns)
        return [page.save(folder / "per_class_iou.png")]


def _panel_title(table_rows: Sequence[Row], metric: str) -> str:
    about = next(row.scores[metric] for row in table_rows if metric in row.scores)
    unit = f", {about.unit}" if about.unit else ""
    return f"{about.label}{unit} {'↑' if about.larger_is_better else '↓'}"


def _panels(width: float, titles: Sequence[str]) -> tuple[int, float]:
    """As many panels in a line (at most 3) as leave room for the longest title; their width."""
    room_for = int((width + _GAP) / (max(1.3, text_width(titles, 8)) + _GAP))
    num_columns = max(1, min(3, len(titles), room_for))
    return num_columns, (width - _GAP * (num_columns - 1)) / num_columns


def _draw_bars(axes: "Axes", table_rows: Sequence[Row], metric: str, names: Sequence[str]) -> None:
    unit = next(row.scores[metric].unit for row in table_rows if metric in row.scores)
    factor = 100 if unit == "%" else 1
    values = [factor * value_of(row.scores.get(metric)) for row in table_rows]
    known = [value for value in values if not math.isnan(value)]
    low, high = min([0.0, *known]), max([0.0, *known])
    decimals = 4 if unit != "%" and high < 1 else 2
    for place, (row, value) in enumerate(zip(table_rows, values, strict=True)):
        _draw_bar(axes, place, row, value, styles(table_rows)[place][0], decimals)
    num_references = sum(row.is_reference for row in table_rows)
    if 0 < num_references < len(table_rows):
        axes.axhline(num_references - 0.5, color=INK, linewidth=0.6)
    axes.set_ylim(len(table_rows) - 0.4, -0.6)
    axes.set_xlim(low, low + ((high - low) or 1.0) * 1.34)  # room for the number at the longest bar
    axes.set_yticks(range(len(names)), labels=names)
    axes.locator_params(axis="x", nbins=6)
    if unit == "%":  # the room beyond 100 is for the numbers only
        axes.set_xticks(
            [tick for tick in axes.get_xticks() if 0 <= tick <= min(100, axes.get_xlim()[1])]
        )
    tidy(axes, 8)


def _draw_bar(axes: "Axes", place: int, row: Row, value: float, color: str, decimals: int) -> None:
    from matplotlib.patheffects import withStroke

    if math.isnan(value):
        axes.annotate("-", (0, place), (3, 0), textcoords="offset points", va="center", color=INK)
        return
    if row.is_reference:
        hatch = HATCHES[row.kind]
        axes.barh(place, value, 0.66, color="white", edgecolor=color, hatch=hatch, linewidth=0.8)
        axes.axvline(value, color=color, linewidth=0.7, linestyle=(0, (4, 3)), zorder=0.5)
    else:
        axes.barh(place, value, 0.66, color=color, edgecolor=INK, linewidth=0.4)
    axes.annotate(
        f"{value:.{decimals}f}",
        (max(value, 0), place),
        (3, -0.3),
        textcoords="offset points",
        va="center",
        fontsize=7,
        color=INK,
        # The line of real or oracle may pass here; the number must stay readable.
        path_effects=[withStroke(linewidth=2.5, foreground="white")],
    )


def _draw_marks(
    axes: "Axes", table_rows: Sequence[Row], names: Sequence[str], font_size: float
) -> None:
    marks = [[100 * value_of(row.class_iou.get(name)) for name in names] for row in table_rows]
    for place in range(len(names)):
        values = [row[place] for row in marks if not math.isnan(row[place])]
        axes.plot([min(values), max(values)], [place, place], color=FAINT, linewidth=1.6, zorder=1)
    for (color, marker), values in zip(styles(table_rows), marks, strict=True):
        axes.plot(
            values,
            range(len(names)),
            **marker_style(color, marker),
            markersize=0.55 * font_size,
            alpha=0.9,
            clip_on=False,  # marks at 0 and 100 stay whole
        )
    axes.set_xlim(-2, 102)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xticks([0, 50, 100] if font_size < 7 else [0, 20, 40, 60, 80, 100])
    axes.set_yticks(range(len(names)), labels=[shortened(name, _LONGEST_CLASS) for name in names])
    tidy(axes, font_size)


def _legend_size(table_rows: Sequence[Row]) -> tuple[int, float]:
    """Columns of the legend and its height in inches."""
    titles = [shortened(row.title, _LONGEST_NAME) for row in table_rows]
    room_for = int((WIDTH - 2 * MARGIN) / (text_width(titles, _LEGEND_SIZE) + 0.36))
    num_columns = max(1, min(len(table_rows), room_for))
    return num_columns, 0.165 * math.ceil(len(table_rows) / num_columns) + 0.14


def _draw_legend(page: Page, table_rows: Sequence[Row], num_columns: int) -> None:
    from matplotlib.lines import Line2D

    page.figure.legend(
        [Line2D([], [], markersize=5, **marker_style(*style)) for style in styles(table_rows)],
        [shortened(row.title, _LONGEST_NAME) for row in table_rows],
        ncols=num_columns,
        loc="upper left",
        bbox_to_anchor=(0.0, 1 - page.top / page.height),
        frameon=False,
        fontsize=_LEGEND_SIZE,
        handletextpad=0.1,
        columnspacing=1.2,
        borderaxespad=0.0,
    )


def _classes_by_mean(table_rows: Sequence[Row]) -> list[str]:
    means = {}
    for name in dict.fromkeys(name for row in table_rows for name in row.class_iou):
        values = [value_of(row.class_iou.get(name)) for row in table_rows]
        known = [value for value in values if not math.isnan(value)]
        if known:
            means[name] = sum(known) / len(known)
    return sorted(means, key=lambda name: -means[name])
