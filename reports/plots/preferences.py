# SPDX-License-Identifier: Apache-2.0
"""Preferences of a study with their three intervals, and those that the SPADE paper prints."""

from pathlib import Path

from spade_eval.reports.plots.page import INK, MARGIN, WIDTH, Page, Plot, settings, text_width, tidy
from spade_eval.reports.tables.table import Table

# Name in the table's frame, width of the line in points, colour, and in words.
_INTERVALS = (
    ("crossed", 1.0, "#0072B2", "other images and people"),
    ("clustered", 3.0, "#56B4E9", "other images"),
    ("exact", 6.0, "#D9D9D9", "independent answers"),
)
_SPACING = 0.26  # inches a line


def plot_preferences(table: Table, title: str, folder: Path) -> Plot:
    """Write `preferences` from the frame of its table: a line a pair, measured ones above."""
    frame = table.frame
    names = [f"{line.row} over {line.over} ({line.data})" for line in frame.itertuples()]
    notes = [
        "Bars, from thin to thick: 95% intervals for "
        + ", ".join(words for *_, words in _INTERVALS)
        + "; open diamonds: printed in Table 2 of the SPADE paper.",
    ]
    with settings():
        left = text_width(names, 7.5) + MARGIN + 0.1
        height = _SPACING * len(names)
        page = Page(title, notes, height + 0.55)
        axes = page.axes(left, 0.05, WIDTH - left - MARGIN - 0.1, height)
        axes.axvline(50, color=INK, linewidth=0.7, linestyle=(0, (4, 3)))
        numbers = 100 * frame.select_dtypes("number")
        for place, is_printed in enumerate(frame["images"].isna()):
            for order, (name, width, color, _) in enumerate(reversed(_INTERVALS)):
                ends = [float(numbers.at[place, f"{name}_{end}"]) for end in ("low", "high")]
                axes.plot(
                    ends,
                    [place] * 2,
                    solid_capstyle="butt",
                    zorder=2 + order,
                    linewidth=width,
                    color=color,
                )
            axes.plot(
                [float(numbers.at[place, "preference"])],
                [place],
                marker="D" if is_printed else "o",
                color=INK,
                markerfacecolor="white" if is_printed else INK,
                markersize=4,
                zorder=9,
            )
        axes.set_yticks(range(len(names)), labels=names)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlim(0, 100)
        tidy(axes, 7.5)
        axes.set_xlabel("preference, % of decided answers", fontsize=7.5, color=INK)
        return page.save_forms(folder, "preferences", "Preferences with 95% intervals.")
