# SPDX-License-Identifier: Apache-2.0
"""A paper's table as a figure: our means with their spread over seeds, beside the paper's numbers.

A block a dataset. Ours are bars in panels of their own, because scores of another segmenter on
other data share no axis with the paper's; these are marks, one for each dataset of the paper.
"""

import math
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from spade_eval.reports.measured.grouping import REFERENCE_KINDS
from spade_eval.reports.plots.page import (
    FAINT,
    HATCHES,
    INK,
    MARGIN,
    WIDTH,
    Page,
    marker_style,
    settings,
    text_width,
    tidy,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Ours: quality of the layout, and a distance between sets of images.
_DISTANCES = ("fid", "fd_in_domain")
_PAPER = "miou_paper"  # the panel of the paper's numbers, where it prints any
_OURS, _OURS_LIGHT = "#0072B2", "#56B4E9"
_PAPER_STYLES = (("#D55E00", "o"), ("#009E73", "s"), ("#CC79A7", "^"), ("#E69F00", "D"))
_GAP, _HEAD, _FOOT, _LEGEND = 0.2, 0.24, 0.34, 0.42
_LINE = 0.25  # inches a row
_NAME_WIDTH = 30  # characters; longer names take two lines


def plot_paper_table(
    table: pd.DataFrame, path: Path, published: pd.DataFrame | None = None
) -> Path:
    """Draw a `paper_table`; `published` is the paper's own, where the table does not hold it.

    The file's ending chooses the format as far as `Page.save` knows it.
    """
    published = table if published is None else published
    published = published[published[_PAPER].notna()]
    blocks = [block for _, block in table.groupby("dataset", sort=False)]
    notes = [
        "Bars: mean over seeds; lines at their ends: one sample standard deviation to each side, "
        "where there are several seeds. Hatched: bounds, not models. A dash: not measured.",
        *table.attrs["notes"],
    ]
    with settings():
        lines = [line for name in table["row"] for line in _wrapped(name).splitlines()]
        left = text_width(lines, 7.5) + MARGIN + 0.1
        heights = [_LINE * len(block) + _HEAD + _FOOT for block in blocks]
        warnings = table.attrs["warnings"]
        legend = 0.0 if published.empty else _LEGEND
        page = Page(_title(table, blocks), notes, sum(heights) + legend, warnings)
        top = 0.0
        for block, height in zip(blocks, heights, strict=True):
            is_last = block is blocks[-1]
            _draw_block(page, block, published, table.attrs["metrics"], left, top, is_last)
            top += height
        return page.save(path)


def _title(table: pd.DataFrame, blocks: list[pd.DataFrame]) -> str:
    return f"{table.attrs['title']}: {', '.join(block['dataset'].iloc[0] for block in blocks)}"


def _draw_block(
    page: Page,
    block: pd.DataFrame,
    published: pd.DataFrame,
    metrics: Mapping[str, Mapping[str, Any]],
    left: float,
    top: float,
    is_last: bool,
) -> None:
    ours = ["miou", *[name for name in _DISTANCES if name in metrics]]
    ours = [name for name in ours if block[name].notna().any()]
    panels = [*ours, *([] if published.empty else [_PAPER])]
    width = (WIDTH - left - MARGIN - _GAP * (len(panels) - 1)) / len(panels)
    names = [_wrapped(name) for name in block["row"]]
    for place, panel in enumerate(panels):
        x = left + place * (width + _GAP)
        axes = page.axes(x, top + _HEAD, width, _LINE * len(block))
        if panel != _PAPER:
            about = metrics[panel]
            _draw_measured(axes, block, panel, about)
            where = f"{block['dataset'].iloc[0]}: " if place == 0 else ""
            title = f"{where}{about['label']} {_arrow(about)}"
        else:
            title = "paper: mIoU % ↑"
            _draw_published(axes, block, published, legend=is_last)
        axes.set_title(title, fontsize=8, loc="left", pad=3, color=INK)
        axes.set_ylim(len(block) - 0.4, -0.6)
        axes.set_yticks(range(len(names)), labels=names if place == 0 else [])
        tidy(axes, 7.5)


def _wrapped(name: str) -> str:
    return "\n".join(textwrap.wrap(name, _NAME_WIDTH, break_long_words=False))


def _arrow(about: Mapping[str, Any]) -> str:
    return f"{about['unit']} {'↑' if about['larger_is_better'] else '↓'}".strip()


def _draw_measured(
    axes: "Axes", block: pd.DataFrame, metric: str, about: Mapping[str, Any]
) -> None:
    factor = 100 if about["unit"] == "%" else 1
    means, spreads = factor * block[metric], factor * block[f"{metric}_spread"]
    decimals = 1 if about["unit"] == "%" else 2
    for place, (mean, spread, kind) in enumerate(zip(means, spreads, block["kind"], strict=True)):
        if math.isnan(mean):
            axes.annotate("-", (0, place), (3, 0), textcoords="offset points", va="center")
            continue
        bound = kind in REFERENCE_KINDS
        axes.barh(
            place, mean, 0.66, color="white" if bound else _OURS_LIGHT, linewidth=0.5,
            edgecolor=INK, hatch=HATCHES.get(kind) if bound else None,
        )  # fmt: skip
        if not math.isnan(spread):
            axes.plot([mean - spread, mean + spread], [place, place], color=_OURS, linewidth=2.4)
        end = mean + (0 if math.isnan(spread) else spread)
        axes.annotate(
            f"{mean:.{decimals}f}", (end, place), (3, -0.3), textcoords="offset points",
            va="center", fontsize=7, color=INK,
        )  # fmt: skip
    highest = (means + spreads.fillna(0)).max()
    axes.set_xlim(0, (highest or 1.0) * 1.3)  # room for the number at the longest bar
    axes.locator_params(axis="x", nbins=5)


def _draw_published(
    axes: "Axes", block: pd.DataFrame, published: pd.DataFrame, legend: bool
) -> None:
    """Draw the paper's numbers of the same rows, one mark for each of its datasets."""
    axes.set_xlim(0, 100)
    for place in range(len(block)):
        axes.axhline(place, color=FAINT, linewidth=0.5, zorder=0.5)
    for (color, marker), (dataset, rows) in zip(
        _PAPER_STYLES, published.groupby("dataset", sort=False), strict=False
    ):
        values = dict(zip(zip(rows["group"], rows["row"], strict=True), rows[_PAPER], strict=True))
        points = [
            100 * values.get((group, row), float("nan"))
            for group, row in zip(block["group"], block["row"], strict=True)
        ]
        axes.plot(
            points, range(len(points)), **marker_style(color, marker), markersize=4.5, label=dataset
        )
    if legend:  # the one below the last block is for all of them
        axes.legend(
            loc="upper left", bbox_to_anchor=(-0.04, -0.1), fontsize=6.5, frameon=False,
            handletextpad=0.2, borderpad=0,
        )  # fmt: skip
