# SPDX-License-Identifier: Apache-2.0
"""What measured speeds look like: time an image against size, batch, labels or number of images.

A curve joins lines that differ in nothing but what the figure is about; whatever else differs
(batch, number of labels, machine) makes another row of panels. A figure without a curve of two
places is left out. Marks are medians; the line through a mark goes from the fastest to the slowest.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from spade_eval.reports.bench.lines import Mark, marks_of
from spade_eval.reports.bench.page import bench_page, legend_beside, logarithmic_y, values_on_x
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
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curves = Mapping[str, Sequence[Mark]]  # by name, from left to right
Looks = Mapping[str, tuple[str, str]]  # colour and marker of each curve
_LEFT, _GAP, _HEIGHT = 0.62, 0.62, 1.9  # inches, of panels
_HEAD, _FOOT = 0.25, 0.5  # above and below a panel: its title, its axis
_CAPTION = "Marks: medians; the line at a mark goes from the fastest to the slowest of its runs."


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """One figure: of which bench, against which fact."""

    bench: str
    x: str
    title: str
    x_label: str
    y_label: str = "seconds an image"
    ratio_label: str = ""  # without one there is no panel of ratios
    log_x: bool = True
    log_y: bool = False  # otherwise from 0, which shows what is flat

    @property
    def stem(self) -> str:
        return f"bench_{self.bench}_{self.x}"


_PIXELS = "√(height·width), pixels"
_DENSE, _STEPS = "times as fast as dense", "times as fast as three steps"
SWEEPS = (
    Sweep(bench="generator", x="size", title="Generator: time an image against image size",
          x_label=_PIXELS, ratio_label=_DENSE, log_y=True),
    Sweep(bench="generator", x="batch", title="Generator: time an image against batch size",
          x_label="images in a batch", ratio_label=_DENSE),
    Sweep(bench="generator", x="num_labels", title="Generator: time an image against labels",
          x_label="labels (channels of the input)", ratio_label=_DENSE, log_x=False),
    Sweep(bench="score", x="images", title="Scoring: time an image against number of images",
          x_label="images scored", ratio_label=_STEPS),
    Sweep(bench="score", x="size", title="Scoring: time an image against image size",
          x_label=_PIXELS, ratio_label=_STEPS, log_y=True),
    Sweep(bench="distance", x="num_images", title="Fréchet distance: time against images",
          x_label="N, images on each side", y_label="seconds a distance", log_y=True),
    Sweep(bench="train", x="size", title="Training: time an image against image size",
          x_label=_PIXELS, log_y=True),
)  # fmt: skip


def plot_bench(table: pd.DataFrame, folder: Path) -> list[Plot]:
    """Write every figure that the lines of `read_bench_lines` are enough for."""
    with settings():
        return [
            page.save_forms(folder, stem, caption) for stem, page, caption in bench_pages(table)
        ]


def bench_pages(table: pd.DataFrame) -> Iterator[tuple[str, Page, str]]:
    """Name, page and caption of each figure; to be drawn within `page.settings`."""
    for sweep in SWEEPS:
        groups = _groups(marks_of(table, sweep.bench), sweep.x)
        if groups:
            yield sweep.stem, *_draw(sweep, groups)


def _groups(marks: Sequence[Mark], x: str) -> list[Curves]:
    """Marks that differ in nothing but `x` and the curve; of one measured again, the latest."""
    alike: dict[tuple[tuple[str, str], ...], dict[tuple[str, str], Mark]] = defaultdict(dict)
    for mark in marks:
        if x in mark.places:
            same = tuple((name, fact) for name, fact in mark.facts.items() if name != x)
            alike[same][mark.curve, mark.facts[x]] = mark
    groups: list[Curves] = []
    for latest in alike.values():
        curves: dict[str, list[Mark]] = defaultdict(list)
        for mark in sorted(latest.values(), key=lambda mark: mark.places[x]):
            curves[mark.curve].append(mark)
        order = dict.fromkeys(name for name, _ in latest)  # as measured, "dense" first
        if any(len({mark.places[x] for mark in curve}) > 1 for curve in curves.values()):
            groups.append({name: curves[name] for name in order})
    return groups


def _draw(sweep: Sweep, groups: Sequence[Curves]) -> tuple[Page, str]:
    looks = _looks(groups)
    marks = [mark for group in groups for mark in _marks(group)]
    has_ratios = bool(sweep.ratio_label) and not all(math.isnan(mark.ratio) for mark in marks)
    pitch = _HEAD + _HEIGHT + _FOOT
    facts = [_facts(group, sweep.x) for group in groups]
    page, titles = bench_page(
        sweep.title, _CAPTION, facts, [mark.line for mark in marks], pitch * len(groups)
    )
    width = WIDTH - _LEFT - MARGIN - legend_beside(page, looks)
    if has_ratios:
        width = (width - _GAP) / 2
    for place, (group, title) in enumerate(zip(groups, titles, strict=True)):
        y = place * pitch + _HEAD
        axes = page.axes(_LEFT, y, width, _HEIGHT)
        axes.set_title(title, fontsize=8, loc="left", pad=3, color=INK)
        _draw_seconds(axes, sweep, group, looks)
        _finish(axes, sweep, group, width)
        if has_ratios:
            axes = page.axes(_LEFT + width + _GAP, y, width, _HEIGHT)
            _draw_ratios(axes, sweep, group, looks)
            _finish(axes, sweep, group, width)
    return page, _CAPTION


def _looks(groups: Sequence[Curves]) -> Looks:
    names = list(dict.fromkeys(curve for group in groups for curve in group))
    palette = Palette(names)
    return {name: palette.of(name) for name in names}


def _marks(group: Curves) -> list[Mark]:
    return [mark for curve in group.values() for mark in curve]


def _facts(group: Curves, x: str) -> dict[str, str]:
    return {name: text for name, text in _marks(group)[0].facts.items() if name != x}


def _draw_seconds(axes: "Axes", sweep: Sweep, group: Curves, looks: Looks) -> None:
    for name, curve in group.items():
        places = [mark.places[sweep.x] for mark in curve]
        _line(axes, places, [mark.seconds for mark in curve], looks[name])
        for place, mark in zip(places, curve, strict=True):
            axes.plot([place] * 2, [mark.fastest, mark.slowest], color=looks[name][0], lw=1.6)
    axes.set_ylabel(sweep.y_label, fontsize=8, color=INK)
    ends = [end for mark in _marks(group) for end in (mark.fastest, mark.slowest)]
    if sweep.log_y:
        logarithmic_y(axes, ends)
    else:
        axes.set_ylim(0, 1.08 * max(ends))


def _draw_ratios(axes: "Axes", sweep: Sweep, group: Curves, looks: Looks) -> None:
    axes.axhline(1, color=INK, linewidth=0.7, linestyle=(0, (4, 3)), zorder=0.5)
    for name, curve in group.items():
        known = [mark for mark in curve if not math.isnan(mark.ratio)]
        places = [mark.places[sweep.x] for mark in known]
        _line(axes, places, [mark.ratio for mark in known], looks[name])
    axes.set_ylabel(sweep.ratio_label, fontsize=8, color=INK)
    axes.set_ylim(0, 1.08 * max([1, *(mark.ratio for mark in _marks(group) if mark.ratio > 0)]))


def _line(
    axes: "Axes", places: Sequence[float], values: Sequence[float], look: tuple[str, str]
) -> None:
    style = marker_style(*look) | {"linestyle": "-"}
    axes.plot(places, values, **style, linewidth=1.1, markersize=4.5)


def _finish(axes: "Axes", sweep: Sweep, group: Curves, width: float) -> None:
    values_on_x(axes, [mark.places[sweep.x] for mark in _marks(group)], width, log=sweep.log_x)
    axes.set_xlabel(sweep.x_label, fontsize=8, color=INK)
    both_grids(axes)
