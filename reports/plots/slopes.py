# SPDX-License-Identifier: Apache-2.0
"""Slopes of an ablation table: what each variation does to mIoU, group by group (Table 4).

A panel is one group of the table (input, kernel, capacity, norm); a line is one dataset, measured
or printed, from variant to variant. What is compared is the slope: measured lines of an in-domain
segmenter stand at another level than the paper's.
"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from spade_eval.reports.measured.grouping import REFERENCE_KINDS, shortened
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

_METRIC = "miou"
_HEIGHT = 2.5
_LONGEST_NAME = 16
# Legend, dataset, column of the table, and whether it is measured.
Line = tuple[str, str, str, bool]


def plot_ablation_slopes(table: pd.DataFrame, folder: Path, stem: str) -> list[Plot]:
    """Draw a `paper_table`; nothing where no group has two numbers."""
    table = table[~table["kind"].isin(REFERENCE_KINDS)]
    groups = [name for name in dict.fromkeys(table["group"]) if _num_points(table, name) > 1]
    if not groups:
        return []
    lines = _lines(table)
    palette = Palette(name for name, *_ in lines)
    looks = [palette.of(name) for name, *_ in lines]
    with settings():
        notes = [
            "Filled marks, full lines: measured (lines at a mark: one standard deviation over "
            "seeds); open marks, dashed lines: as printed in the paper.",
            *table.attrs["notes"],
        ]
        page = Page(f"{table.attrs['title']}, mIoU in %", notes, _HEIGHT + 0.85)
        gap = 0.42
        width = (WIDTH - MARGIN - gap * len(groups)) / len(groups)
        for place, group in enumerate(groups):
            axes = page.axes(gap + place * (width + gap), 0.32, width, _HEIGHT)
            axes.set_title(group, fontsize=8, loc="left", pad=3, color=INK)
            _draw_group(axes, table, group, lines, looks)
        _legend(page, lines, looks)
        return [page.save_forms(folder, stem, "What each variation does to mIoU.")]


def _num_points(table: pd.DataFrame, group: str) -> int:
    part = table[table["group"] == group]
    return int(part[[_METRIC, f"{_METRIC}_paper"]].notna().sum().max()) if group else 0


def _lines(table: pd.DataFrame) -> list[Line]:
    """Legend, dataset, column and whether it is measured, of every line with numbers."""
    lines = []
    for dataset in dict.fromkeys(table["dataset"]):
        part = table[table["dataset"] == dataset]
        if part[_METRIC].notna().any():
            lines.append((f"{dataset}, measured", dataset, _METRIC, True))
        if part[f"{_METRIC}_paper"].notna().any():
            lines.append((f"{dataset}, paper", dataset, f"{_METRIC}_paper", False))
    return lines


def _draw_group(
    axes: "Axes",
    table: pd.DataFrame,
    group: str,
    lines: list[Line],
    looks: list[tuple[str, str]],
) -> None:
    names = list(dict.fromkeys(table.loc[table["group"] == group, "row"]))
    for (_, dataset, column, measured), (color, marker) in zip(lines, looks, strict=True):
        part = table[(table["group"] == group) & (table["dataset"] == dataset)]
        part = part.drop_duplicates("row").set_index("row").reindex(names)
        values = 100 * part[column]
        known = [place for place, value in enumerate(values) if not math.isnan(value)]
        style = marker_style(color, marker) | {"linestyle": "-" if measured else (0, (4, 2))}
        if not measured:
            style["markerfacecolor"] = "white"
            style["markeredgecolor"] = color
            style["markeredgewidth"] = 0.8
        axes.plot(known, [values.iloc[place] for place in known], **style, linewidth=1.1,
                  markersize=4.5)  # fmt: skip
        if measured:
            spreads = 100 * part[f"{_METRIC}_spread"]
            for place in known:
                value, spread = values.iloc[place], spreads.iloc[place]
                axes.plot([place, place], [value - spread, value + spread], color=color, lw=1.6)
    axes.set_xticks(
        range(len(names)), labels=[shortened(name, _LONGEST_NAME) for name in names], rotation=20,
        ha="right", rotation_mode="anchor",
    )  # fmt: skip
    axes.set_xlim(-0.3, len(names) - 0.7)
    both_grids(axes)


def _legend(page: Page, lines: list[Line], looks: list[tuple[str, str]]) -> None:
    from matplotlib.lines import Line2D

    handles = []
    for (_, _, _, measured), (color, marker) in zip(lines, looks, strict=True):
        face = color if measured else "white"
        dashes: Any = "-" if measured else (0, (4, 2))
        handles.append(
            Line2D(
                [],
                [],
                color=color,
                marker=marker,
                markerfacecolor=face,
                linestyle=dashes,
                linewidth=1.1,
                markersize=4.5,
            )
        )
    page.figure.legend(
        handles, [name for name, *_ in lines], ncols=4, loc="upper left", frameon=False,
        bbox_to_anchor=(0.5 * MARGIN / WIDTH, 1 - page.top / page.height), fontsize=6.5,
        borderaxespad=0.0,
        columnspacing=1.2,
    )  # fmt: skip
