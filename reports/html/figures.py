# SPDX-License-Identifier: Apache-2.0
"""The plots as SVG files beside the page, once for a light page and once for a dark one.

A plot shown as an image runs no script and loads nothing, whatever names were drawn into it; it
also cannot see the page's theme, which is why there are two. Series keep their colours, since
those of Okabe and Ito have a contrast above 3 to this dark ground; ink, lines and ground change.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spade_eval.reports.plots.page import Plot

# Ground, ink and lines of `plots/page.py`, and matplotlib's own black; ground as in report.css.
_DARK = {
    "#ffffff": "#16191d",
    "#222222": "#e3e6ea",
    "#000000": "#f2f4f6",
    "#d9d9d9": "#3a4048",
    "#7f7f7f": "#9aa3ad",
}
_COLOR = re.compile(r"#[0-9a-fA-F]{6}\b")  # matplotlib writes every colour in this form


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A plot of the page; paths are relative to it."""

    title: str
    caption: str
    light: str
    dark: str
    width: float  # in CSS pixels
    height: float


def write_figures(plots: Sequence[Plot], folder: Path) -> list[Figure]:
    """Write both variants of every plot into `folder`/plots."""
    figures = []
    for number, plot in enumerate(plots):
        svg = plot.svg.read_text(encoding="utf-8")
        light, dark = f"plots/{number:02d}.svg", f"plots/{number:02d}-dark.svg"
        (folder / "plots").mkdir(exist_ok=True)
        (folder / light).write_text(svg, encoding="utf-8")
        (folder / dark).write_text(darkened(svg), encoding="utf-8")
        width, height = _size(svg)
        figures.append(
            Figure(
                title=plot.title,
                caption=plot.caption,
                light=light,
                dark=dark,
                width=width,
                height=height,
            )
        )
    return figures


def darkened(svg: str) -> str:
    """Adapt a drawing to a dark ground; elements without a fill of their own become light, too."""
    recoloured = _COLOR.sub(lambda color: _DARK.get(color[0].lower(), color[0]), svg)
    return re.sub(r"<svg\b", f'<svg fill="{_DARK["#000000"]}"', recoloured, count=1)


def _size(svg: str) -> tuple[float, float]:
    """Width and height in CSS pixels (96 an inch), from the view box in points (72 an inch)."""
    box = re.search(r'viewBox="0 0 ([0-9.]+) ([0-9.]+)"', svg)
    width, height = (float(box[1]), float(box[2])) if box else (518.4, 388.8)
    return round(width * 96 / 72, 1), round(height * 96 / 72, 1)
