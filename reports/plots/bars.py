# SPDX-License-Identifier: Apache-2.0
"""Bars of scores, a panel a metric, with lines that say how sure each number is.

One figure shows one protocol (see `measured/grouping.py`); its footer carries the same notes as the
printed table. Fractions are shown times 100.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from spade_eval.reports.measured.failures import warnings_of
from spade_eval.reports.measured.grouping import (
    REFERENCE_KINDS,
    ProtocolGroup,
    metric_names,
    shortened,
    value_of,
)
from spade_eval.reports.plots.page import (
    HATCHES,
    INK,
    MARGIN,
    WIDTH,
    Page,
    Palette,
    Plot,
    settings,
    text_width,
    tidy,
)
from spade_eval.reports.statistics.intervals import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LONGEST_NAME = 30
_GAP = 0.18  # inches between panels of a line
_HEAD, _FOOT = 0.22, 0.28  # inches above and below a panel: its title, its numbers


@dataclass(frozen=True)
class Bar:
    """One bar; the ends of its line are NaN where nothing says how sure the number is."""

    title: str
    kind: str
    value: float
    low: float = float("nan")
    high: float = float("nan")


@dataclass(frozen=True)
class BarPanel:
    """One metric: what it is, and a bar of each row."""

    label: str
    unit: str
    larger_is_better: bool
    bars: tuple[Bar, ...]

    @property
    def title(self) -> str:
        unit = f", {self.unit}" if self.unit else ""
        return f"{self.label}{unit} {'↑' if self.larger_is_better else '↓'}"


def plot_metric_bars(
    group: ProtocolGroup,
    folder: Path,
    intervals: Mapping[tuple[str, str], Interval] | None = None,
    palette: Palette | None = None,
) -> list[Plot]:
    """Write `scores`: a panel a metric, a bar a source, with a line from low to high.

    `intervals` are those of (row title, metric).
    """
    known = intervals or {}
    nothing = (float("nan"), float("nan"))
    panels = []
    for metric in metric_names(group.rows):
        about = next(row.scores[metric] for row in group.rows if metric in row.scores)
        bars = tuple(
            Bar(row.title, row.kind, value_of(row.scores.get(metric)),
                *known.get((row.title, metric), nothing))
            for row in group.rows
        )  # fmt: skip
        panels.append(BarPanel(about.label, about.unit, about.larger_is_better, bars))
    notes = list(group.notes)
    if known:
        notes.insert(
            0,
            "Lines: 95% intervals over the images of the split; of distances, without their bias.",
        )
    palette = palette or Palette.of_groups([group])
    return draw_bars(panels, group.title, notes, folder, "scores", palette, warnings_of(group.rows))


def plot_leaderboard(
    table: pd.DataFrame, folder: Path, palette: Palette | None = None
) -> list[Plot]:
    """Write `leaderboard`: bars of the means, lines of one standard deviation over seeds."""
    panels = []
    for metric, about in table.attrs["metrics"].items():
        means, spreads = table[metric], table[f"{metric}_spread"]
        bars = map(Bar, table["row"], table["kind"], means, means - spreads, means + spreads)
        panels.append(
            BarPanel(about["label"], about["unit"], about["larger_is_better"], tuple(bars))
        )
    about = table.attrs
    models = table.loc[~table["kind"].isin(REFERENCE_KINDS), "row"]
    palette = palette or Palette(models)
    return draw_bars(
        panels, about["title"], about["notes"], folder, "leaderboard", palette, about["warnings"]
    )


def draw_bars(
    panels: Sequence[BarPanel],
    title: str,
    notes: Sequence[str],
    folder: Path,
    stem: str,
    palette: Palette,
    warnings: Sequence[str] = (),
) -> list[Plot]:
    """Draw panels of horizontal bars with the same rows; bounds are hatched, with dashed lines."""
    if not panels:
        return []
    bars = panels[0].bars
    head = "↑ larger is better, ↓ smaller is better."
    if any(bar.kind in REFERENCE_KINDS for bar in bars):
        head += " Hatched bars and dashed lines are bounds, not models."
    with settings():
        names = [shortened(bar.title, _LONGEST_NAME) for bar in bars]
        left = text_width(names, 8) + MARGIN + 0.1
        titles = [panel.title for panel in panels]
        num_columns, panel_width = _panels(WIDTH - left - MARGIN, titles)
        panel_height = 0.21 * len(bars) + 0.1
        pitch = _HEAD + panel_height + _FOOT
        num_lines = math.ceil(len(panels) / num_columns)
        page = Page(title, [head, *notes], num_lines * pitch, warnings)
        for index, panel in enumerate(panels):
            line, column = divmod(index, num_columns)
            x, y = left + column * (panel_width + _GAP), _HEAD + line * pitch
            axes = page.axes(x, y, panel_width, panel_height)
            axes.set_title(panel.title, fontsize=8, loc="left", pad=3, color=INK)
            _draw_panel(axes, panel, names if column == 0 else [], palette)
        return [page.save_forms(folder, stem, "Scores of every row, a panel a metric.")]


def _panels(width: float, titles: Sequence[str]) -> tuple[int, float]:
    """As many panels in a line (at most 3) as leave room for the longest title; their width."""
    room_for = int((width + _GAP) / (max(1.3, text_width(titles, 8)) + _GAP))
    num_columns = max(1, min(3, len(titles), room_for))
    return num_columns, (width - _GAP * (num_columns - 1)) / num_columns


def _draw_panel(axes: "Axes", panel: BarPanel, names: Sequence[str], palette: Palette) -> None:
    factor = 100 if panel.unit == "%" else 1
    ends = [factor * end for bar in panel.bars for end in (bar.value, bar.low, bar.high)]
    known = [end for end in ends if not math.isnan(end)]
    low, high = min([0.0, *known]), max([0.0, *known])
    decimals = 4 if panel.unit != "%" and high < 1 else 2
    for place, bar in enumerate(panel.bars):
        _draw_bar(axes, place, bar, factor, palette.of(bar.title, bar.kind)[0], decimals)
    num_references = sum(bar.kind in REFERENCE_KINDS for bar in panel.bars)
    if 0 < num_references < len(panel.bars):
        axes.axhline(num_references - 0.5, color=INK, linewidth=0.6)
    axes.set_ylim(len(panel.bars) - 0.4, -0.6)
    axes.set_xlim(low, low + ((high - low) or 1.0) * 1.34)  # room for the number at the longest bar
    axes.set_yticks(range(len(names)), labels=names)
    axes.locator_params(axis="x", nbins=6)
    if panel.unit == "%":  # the room beyond 100 is for the numbers only
        axes.set_xticks(
            [tick for tick in axes.get_xticks() if 0 <= tick <= min(100, axes.get_xlim()[1])]
        )
    tidy(axes, 8)


def _draw_bar(axes: "Axes", place: int, bar: Bar, factor: float, color: str, decimals: int) -> None:
    from matplotlib.patheffects import withStroke

    value = factor * bar.value
    if math.isnan(value):
        axes.annotate("-", (0, place), (3, 0), textcoords="offset points", va="center", color=INK)
        return
    if bar.kind in REFERENCE_KINDS:
        hatch = HATCHES[bar.kind]
        axes.barh(place, value, 0.66, color="white", edgecolor=color, hatch=hatch, linewidth=0.8)
        axes.axvline(value, color=color, linewidth=0.7, linestyle=(0, (4, 3)), zorder=0.5)
    else:
        axes.barh(place, value, 0.66, color=color, edgecolor=INK, linewidth=0.4)
    end = max(value, 0.0)
    if not math.isnan(bar.low + bar.high):
        line = axes.plot([factor * bar.low, factor * bar.high], [place] * 2, color=INK, lw=1.1)
        line[0].set_path_effects([withStroke(linewidth=2.6, foreground="white")])
        end = max(end, factor * bar.high)
    axes.annotate(
        f"{value:.{decimals}f}",
        (end, place),
        (3, -0.3),
        textcoords="offset points",
        va="center",
        fontsize=7,
        color=INK,
        # The line of real or oracle may pass here; the number must stay readable.
        path_effects=[withStroke(linewidth=2.5, foreground="white")],
    )
