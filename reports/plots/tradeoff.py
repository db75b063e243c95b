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
from spade_eval.reports.plots.page import (
    INK,
    MARGIN,
    WIDTH,
    Page,
    Plot,
    both_grids,
    marker_style,
    settings,
    styles,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DISTANCES = ("fid", "fd_in_domain")
_HEIGHT = 3.6  # inches of a panel
_LARGEST_AREA = 700.0  # square points, of the largest generator
_LONGEST_NAME = 26
_PLAIN_MARK = 6.0


@dataclass(frozen=True)
class _Point:
    row: Row
    x: float
    y: float
    area: float  # square points; 0 for rows without parameters
    color: str
    marker: str


def plot_tradeoff(group: ProtocolGroup, folder: Path) -> list[Plot]:
    """Write `tradeoff`: mIoU against FID (or FD in-domain), area in proportion to parameters."""
    distance = next((name for name in _DISTANCES if _has(group.rows, name)), None)
    if distance is None:
        return []
    return _draw(
        group, folder, "tradeoff", distance, "miou",
        "The area of a circle is the generator's number of parameters; best is top left.",
        sized=True,
    )  # fmt: skip


def plot_precision_recall(group: ProtocolGroup, folder: Path) -> list[Plot]:
    """Write `precision_recall`: how real images are against how many photos they cover."""
    return _draw(
        group, folder, "precision_recall", "recall", "precision",
        "Precision: share of synthesized images among the photos; recall: share of photos among "
        "the synthesized images. Best is top right.",
        sized=False,
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
) -> list[Plot]:
    points = _points(group.rows, x, y, sized)
    if len(points) < 2:
        return []
    with settings():
        page = Page(
            f"{_label(points, y)} against {_label(points, x)}: {group.title}",
            [caption, *group.notes],
            _HEIGHT + 0.45,
            warnings_of(group.rows),
        )
        axes = page.axes(0.62, 0.05, WIDTH - 0.62 - MARGIN, _HEIGHT)
        for point in points:
            _draw_point(axes, point)
        _name_points(axes, points)
        axes.set_xlabel(_label(points, x), fontsize=8, color=INK)
        axes.set_ylabel(_label(points, y), fontsize=8, color=INK)
        axes.margins(0.14)
        low, high = axes.get_xlim()
        axes.set_xlim(low, high + 0.22 * (high - low))  # room for the rightmost name
        both_grids(axes)
        return [page.save_forms(folder, stem, caption)]


def _points(table_rows: Sequence[Row], x: str, y: str, sized: bool) -> list[_Point]:
    points = []
    largest = max((row.measurements[0].parameters or 0 for row in table_rows), default=0)
    for row, (color, marker) in zip(table_rows, styles(r.kind for r in table_rows), strict=True):
        values = [_shown(row, metric) for metric in (x, y)]
        if any(map(math.isnan, values)):
            continue
        parameters = row.measurements[0].parameters or 0
        area = _LARGEST_AREA * parameters / largest if sized and largest else 0.0
        points.append(_Point(row, values[0], values[1], area, color, marker))
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
    """Names to the right of their marks, moved apart vertically where they would overlap."""
    from matplotlib.patheffects import withStroke

    xs, ys = [point.x for point in points], [point.y for point in points]
    width, height = (max(xs) - min(xs)) or 1.0, (max(ys) - min(ys)) or 1.0
    taken: list[tuple[float, float]] = []
    for point in sorted(points, key=lambda item: -item.y):
        spot = point.y
        # A name takes about a third of the width and a twenty-fifth of the height.
        while any(abs(point.x - x) < width / 3 and abs(spot - y) < height / 22 for x, y in taken):
            spot -= height / 88
        taken.append((point.x, spot))
        parameters = point.row.measurements[0].parameters
        size = f" {parameters / 1e6:.1f}M" if parameters and point.area else ""
        axes.annotate(
            f"{shortened(point.row.title, _LONGEST_NAME)}{size}",
            (point.x, spot),
            (4 + math.sqrt(point.area / math.pi), 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
            color=INK,
            path_effects=[withStroke(linewidth=2, foreground="white")],
            zorder=4,
        )
