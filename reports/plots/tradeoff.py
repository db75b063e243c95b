# SPDX-License-Identifier: Apache-2.0
"""Two metrics against each other: mIoU and distance with parameters as area, precision and recall.

The first is the story of the paper's Table 3: which architecture buys layout and realism with how
many parameters. Names stand beside their marks; colours and shapes are those of the other figures.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spade_eval.reports.measured.failures import warnings_of
from spade_eval.reports.measured.grouping import (
    ProtocolGroup,
    Row,
    shortened,
    value_of,
)
from spade_eval.reports.plots.labels import Box, Mark, placed
from spade_eval.reports.plots.page import (
    INK,
    MARGIN,
    WIDTH,
    Page,
    Palette,
    Plot,
    both_grids,
    marker_style,
    settings,
    text_width,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DISTANCES = ("fid", "fd_in_domain")
_HEIGHT = 3.6  # inches of a panel
_LARGEST_AREA = 700.0  # square points, of the largest generator
_LONGEST_NAME = 26
_PLAIN_MARK = 6.0
_LEFT = 0.62  # inches, of the axes
_NAME_SIZE = 7
# A name's line as high as its letters with some air, in points.
_NAME_HEIGHT = 8.5
_LONG_WAY = 6.0  # from a mark to its name, in points: a line joins them


@dataclass(frozen=True)
class _Point:
    row: Row
    x: float
    y: float
    area: float  # square points; 0 for rows without parameters
    color: str
    marker: str


def plot_tradeoff(group: ProtocolGroup, folder: Path, palette: Palette | None = None) -> list[Plot]:
    """Write `tradeoff`: mIoU against FID (or FD in-domain), area in proportion to parameters."""
    distance = next((name for name in _DISTANCES if _has(group.rows, name)), None)
    if distance is None:
        return []
    return _draw(
        group, folder, "tradeoff", distance, "miou",
        "The area of a circle is the generator's number of parameters; best is top left.",
        sized=True, palette=palette or Palette.of_groups([group]),
    )  # fmt: skip


def plot_precision_recall(
    group: ProtocolGroup, folder: Path, palette: Palette | None = None
) -> list[Plot]:
    """Write `precision_recall`: how real images are against how many photos they cover."""
    return _draw(
        group, folder, "precision_recall", "recall", "precision",
        "Precision: share of synthesized images among the photos; recall: share of photos among "
        "the synthesized images. Best is top right.",
        sized=False, palette=palette or Palette.of_groups([group]),
    )  # fmt: skip


def _has(table_rows: Sequence[Row], metric: str) -> bool:
    return any(not math.isnan(value_of(row.scores.get(metric))) for row in table_rows)


def _draw(
    group: ProtocolGroup,
    folder: Path,
    stem: str,
    x: str,
    y: str,
    caption: str,
    sized: bool,
    palette: Palette,
) -> list[Plot]:
    points = _points(group.rows, x, y, sized, palette)
    if len(points) < 2:
        return []
    with settings():
        page = Page(
            f"{_label(points, y)} against {_label(points, x)}: {group.title}",
            [caption, *group.notes],
            _HEIGHT + 0.45,
            warnings_of(group.rows),
        )
        axes = page.axes(_LEFT, 0.05, WIDTH - _LEFT - MARGIN, _HEIGHT)
        for point in points:
            _draw_point(axes, point)
        axes.set_xlabel(_label(points, x), fontsize=8, color=INK)
        axes.set_ylabel(_label(points, y), fontsize=8, color=INK)
        axes.margins(0.14)
        axes.set_xlim(*axes.get_xlim())  # names are placed for these ends
        axes.set_ylim(*axes.get_ylim())
        _name_points(axes, points)
        both_grids(axes)
        return [page.save_forms(folder, stem, caption)]


def _points(
    table_rows: Sequence[Row], x: str, y: str, sized: bool, palette: Palette
) -> list[_Point]:
    points = []
    largest = max((row.measurements[0].parameters or 0 for row in table_rows), default=0)
    for row in table_rows:
        values = [_shown(row, metric) for metric in (x, y)]
        if any(map(math.isnan, values)):
            continue
        parameters = row.measurements[0].parameters or 0
        area = _LARGEST_AREA * parameters / largest if sized and largest else 0.0
        points.append(_Point(row, values[0], values[1], area, *palette.of(row.title, row.kind)))
    return points


def _shown(row: Row, metric: str) -> float:
    item = row.scores.get(metric)
    return value_of(item) * (100 if item is not None and item.unit == "%" else 1)


def _label(points: Sequence[_Point], metric: str) -> str:
    item = points[0].row.scores[metric]
    unit = f", {item.unit}" if item.unit else ""
    return f"{item.label}{unit} {'↑' if item.larger_is_better else '↓'}"


def _draw_point(axes: "Axes", point: _Point) -> None:
    if point.area:
        axes.scatter(
            point.x, point.y, s=point.area, color=point.color, alpha=0.45, edgecolor=INK,
            linewidth=0.6, zorder=2,
        )  # fmt: skip
    axes.plot(
        point.x, point.y, **marker_style(point.color, point.marker),
        markersize=3.0 if point.area else _PLAIN_MARK, zorder=3,
    )  # fmt: skip


def _name_points(axes: "Axes", points: Sequence[_Point]) -> None:
    """Write names beside their marks; a thin line leads to one that stands farther off."""
    from matplotlib.patheffects import withStroke

    width, height = 72 * (WIDTH - _LEFT - MARGIN), 72 * _HEIGHT
    marks = [_mark(axes, point, width, height) for point in points]
    frame = Box(2, 2, width - 2, height - 2)
    for point, mark, box in zip(points, marks, placed(marks, frame), strict=True):
        x, y = (box.left + box.right) / 2, (box.low + box.high) / 2
        if box.distance_to(mark.x, mark.y) > mark.radius + _LONG_WAY:
            end = box.nearest_to(mark.x, mark.y)
            line = axes.annotate(
                "", (mark.x, mark.y), end, "axes points", "axes points",
                arrowprops={"arrowstyle": "-", "color": INK, "linewidth": 0.4, "shrinkA": 0,
                            "shrinkB": mark.radius},
            )  # fmt: skip
            line.set_zorder(3.5)
        axes.annotate(
            _name(point), (x, y), xycoords="axes points", va="center", ha="center",
            fontsize=_NAME_SIZE, color=INK,
            path_effects=[withStroke(linewidth=2, foreground="white")],
            zorder=4,
        )  # fmt: skip


def _mark(axes: "Axes", point: _Point, width: float, height: float) -> Mark:
    """Its place and that of its name in points of the axes."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    radius = max(math.sqrt(point.area / math.pi), _PLAIN_MARK / 2)
    return Mark(
        x=width * (point.x - left) / (right - left),
        y=height * (point.y - low) / (high - low),
        radius=radius,
        width=72 * text_width([_name(point)], _NAME_SIZE) + 2,
        height=_NAME_HEIGHT,
    )


def _name(point: _Point) -> str:
    parameters = point.row.measurements[0].parameters
    size = f" {parameters / 1e6:.1f}M" if parameters and point.area else ""
    return f"{shortened(point.row.title, _LONGEST_NAME)}{size}"
