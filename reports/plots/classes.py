# SPDX-License-Identifier: Apache-2.0
"""IoU of every class and source, readable at the width of a paper's page and without colour vision.

One figure shows one protocol (see `measured/grouping.py`); its footer carries the same notes as the
printed table. Fractions are shown times 100.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spade_eval.reports.measured.failures import warnings_of
from spade_eval.reports.measured.grouping import (
    ProtocolGroup,
    Row,
    shortened,
    value_of,
)
from spade_eval.reports.plots.page import (
    FAINT,
    MARGIN,
    WIDTH,
    Page,
    Palette,
    Plot,
    marker_style,
    settings,
    text_width,
    tidy,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LONGEST_NAME, _LONGEST_CLASS = 30, 20
_FOOT = 0.28  # inches below a panel: its numbers
_LEGEND_SIZE = 7.5


def plot_per_class_iou(
    group: ProtocolGroup, folder: Path, palette: Palette | None = None
) -> list[Plot]:
    """Write `per_class_iou`: a line a class, a mark a source, best class first.

    Classes without a value in any row are left out and counted in the footer.
    """
    palette = palette or Palette.of_groups([group])
    table_rows = [row for row in group.rows if row.class_iou]
    classes = _classes_by_mean(table_rows)
    if not classes:
        return []
    absent = len({name for row in table_rows for name in row.class_iou}) - len(classes)
    notes = ["Classes in order of their mean over the rows shown.", *group.notes]
    if absent:
        notes[0] += f" Classes without a value in any row are left out: {absent}."
    num_columns = min(4, math.ceil(len(classes) / 24))
    per_column = math.ceil(len(classes) / num_columns)
    pitch, size = (0.125, 5.5) if num_columns > 2 else (0.175, 7.5)
    with settings():
        legend_columns, legend_height = _legend_size(table_rows)
        column_width = (WIDTH - MARGIN) / num_columns
        left = text_width([shortened(name, _LONGEST_CLASS) for name in classes], size) + 0.08
        title = f"IoU by class, % ↑: {group.title}"
        body = legend_height + per_column * pitch + _FOOT
        page = Page(title, notes, body, warnings_of(group.rows))
        for column in range(num_columns):
            x = MARGIN + column * column_width + left
            names = classes[column * per_column : (column + 1) * per_column]
            # The last panel may hold fewer classes; their distance stays the same.
            axes = page.axes(x, legend_height, column_width - left - MARGIN, len(names) * pitch)
            _draw_marks(axes, table_rows, names, size, palette)
        _draw_legend(page, table_rows, legend_columns, palette)
        return [page.save_forms(folder, "per_class_iou", "IoU of every class and row.")]


def _draw_marks(
    axes: "Axes",
    table_rows: Sequence[Row],
    names: Sequence[str],
    font_size: float,
    palette: Palette,
) -> None:
    marks = [[100 * value_of(row.class_iou.get(name)) for name in names] for row in table_rows]
    for place in range(len(names)):
        values = [row[place] for row in marks if not math.isnan(row[place])]
        axes.plot([min(values), max(values)], [place, place], color=FAINT, linewidth=1.6, zorder=1)
    for row, values in zip(table_rows, marks, strict=True):
        color, marker = palette.of(row.title, row.kind)
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


def _draw_legend(page: Page, table_rows: Sequence[Row], num_columns: int, palette: Palette) -> None:
    from matplotlib.lines import Line2D

    page.figure.legend(
        [
            Line2D([], [], markersize=5, **marker_style(*palette.of(row.title, row.kind)))
            for row in table_rows
        ],
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
