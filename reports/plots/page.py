# SPDX-License-Identifier: Apache-2.0
"""The page a figure is drawn on: size, type, colours, title above and footnotes below.

Colours are those of Okabe and Ito, "Color Universal Design" (2008). matplotlib is imported only
inside functions and used through its `Figure` class, so no global plotting state is left behind.
Positions are in inches: the number of rows sets the height, and not the other way round.
"""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spade_eval.files import written_whole
from spade_eval.reports.measured.grouping import REFERENCE_KINDS, ProtocolGroup

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 7.2  # inches: text width of a two-column paper
MARGIN = 0.12
INK, FAINT = "#222222", "#D9D9D9"
_WARNING = "#B00020"
HATCHES = {
    "real": "////",
    "real as JPEG": "\\\\\\\\",
    "oracle": "....",
    "grey": "",
    "label colours": "||||",
}
_DPI = 150
_NOTE_SIZE = 6.5
_REFERENCE_STYLES = {
    "real": ("#000000", "|"),
    "real as JPEG": ("#555555", "|"),
    "oracle": ("#7F7F7F", "d"),
    "grey": ("#7F7F7F", "_"),
    "label colours": ("#7F7F7F", "1"),
}
# Forms of a figure, and what keeps the program's version and the time of day out of each.
_UNDATED: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
    "svg": {"Creator": None, "Date": None},
}
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#F0E442")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_FONT = "DejaVu Sans"  # comes with matplotlib
# A reader's own matplotlibrc must not change a report.
_SETTINGS: Any = {  # a dict; newer matplotlib types its keys one by one
    "font.family": [_FONT],
    "font.size": 8,
    "text.usetex": False,
    "text.parse_math": False,  # a "$" in a name is a dollar
    "hatch.linewidth": 0.6,
    "svg.hashsalt": "spade-eval",  # else identifiers are drawn anew each time
    "pdf.fonttype": 42,  # editable text
}


@dataclass(frozen=True, kw_only=True)
class Plot:
    """One figure in three formats, and what it shows."""

    title: str
    caption: str
    png: Path
    pdf: Path
    svg: Path


@contextmanager
def settings() -> Iterator[None]:
    """Draw inside of this block, where the type settings hold."""
    import matplotlib

    with matplotlib.rc_context(_SETTINGS):
        yield


class Page:
    """A figure with title and warnings above, and footnotes below a body of given height."""

    def __init__(
        self,
        title: str,
        notes: Sequence[str],
        body_height: float,
        warnings: Sequence[str] = (),
    ) -> None:
        from matplotlib.figure import Figure

        self.title = title
        title_lines = textwrap.wrap(title, 92)
        notes_lines = [line for note in notes for line in _note_lines(note)]
        warning_lines = [
            line for warning in warnings for line in textwrap.wrap(f"WARNING: {warning}", 112)
        ]
        warnings_top = 0.08 + 0.16 * len(title_lines) + 0.02
        self.top = 0.16 * len(title_lines) + 0.145 * len(warning_lines) + 0.14
        self.height = self.top + body_height + 0.125 * len(notes_lines) + 0.16
        self.figure = Figure(figsize=(WIDTH, self.height), facecolor="white")
        self._text(0.08, title_lines, 9, "top", "bold")
        self._text(warnings_top, warning_lines, 7.5, "top", "bold", _WARNING)
        self._text(self.height - 0.08, notes_lines, _NOTE_SIZE, "bottom", "normal")

    def _text(
        self, y: float, lines: Sequence[str], size: float, align: str, weight: str, color: str = INK
    ) -> None:
        self.figure.text(
            MARGIN / WIDTH,
            1 - y / self.height,
            "\n".join(lines),
            fontsize=size,
            va=align,
            weight=weight,
            color=color,
            linespacing=1.25,
        )

    def axes(self, x: float, y: float, width: float, height: float) -> "Axes":
        """Add axes whose upper left corner is (x, y) from that of the body."""
        bottom = self.height - self.top - y - height
        return self.figure.add_axes(
            (x / WIDTH, bottom / self.height, width / WIDTH, height / self.height)
        )

    def save(self, path: Path) -> Path:
        """Write a PNG, PDF or SVG by the file's ending; equal numbers give equal bytes."""
        form = path.suffix.removeprefix(".")
        with written_whole(path) as temporary:
            self.figure.savefig(temporary, format=form, dpi=_DPI, metadata=_UNDATED[form])
        return path

    def save_forms(self, folder: Path, stem: str, caption: str) -> Plot:
        """Write the figure as PNG, PDF and SVG."""
        png, pdf, svg = (self.save(folder / f"{stem}.{form}") for form in _UNDATED)
        return Plot(title=self.title, caption=caption, png=png, pdf=pdf, svg=svg)


def _note_lines(note: str) -> list[str]:
    """Break a footnote into lines; one of wide letters gets fewer of them."""
    lines = textwrap.wrap(note, 138)
    if text_width(lines, _NOTE_SIZE) <= WIDTH - 2 * MARGIN:
        return lines
    return textwrap.wrap(note, 105)


class Palette:
    """Colour and marker of every row of a report: one a name, in all of its figures.

    The eighth model repeats a colour with another marker.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._places = {name: place for place, name in enumerate(dict.fromkeys(names))}

    @classmethod
    def of_groups(cls, groups: Iterable[ProtocolGroup]) -> "Palette":
        """Give the models of all protocols theirs, in the order of the tables' rows."""
        rows = (row for group in groups for row in group.rows)
        return cls(row.title for row in rows if not row.is_reference)

    def of(self, name: str, kind: str = "") -> tuple[str, str]:
        """Return colour and marker; bounds have those of their kind, whatever they are called."""
        if kind in REFERENCE_KINDS:
            return _REFERENCE_STYLES[kind]
        turn, place = divmod(self._places.setdefault(name, len(self._places)), len(_COLORS))
        return _COLORS[place], _MARKERS[(place + 3 * turn) % len(_MARKERS)]


def marker_style(color: str, marker: str) -> dict[str, Any]:
    """Return arguments of a line that shows marks only.

    The upright stroke has no outline of its own.
    """
    is_stroke = marker in "|_1"
    return {
        "linestyle": "none",
        "marker": marker,
        "color": color,
        "markeredgecolor": color if is_stroke else INK,
        "markeredgewidth": 1.4 if is_stroke else 0.3,
    }


def text_width(texts: Iterable[str], font_size: float) -> float:
    """Return the inches that the longest text takes."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    font = FontProperties(family=[_FONT])
    # Outlines are slow to lay out, and a much shorter text is never the widest.
    longest = sorted(set(texts), key=len, reverse=True)[:6]
    points = [
        TextPath((0, 0), text, size=font_size, prop=font).get_extents().x1 for text in longest
    ]
    return float(max(points, default=0.0)) / 72


def tidy(axes: "Axes", font_size: float) -> None:
    """Keep two thin spines, faint vertical lines behind the data, no tick marks at names."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set(color=INK, linewidth=0.6)
    axes.grid(axis="x", color=FAINT, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.tick_params(axis="x", labelsize=min(font_size, 6.5), length=2, width=0.5, colors=INK)
    axes.tick_params(axis="y", labelsize=font_size, length=0, colors=INK, pad=3)


def both_grids(axes: "Axes") -> None:
    """Apply `tidy` for two axes of numbers."""
    tidy(axes, 7)
    axes.grid(axis="y", color=FAINT, linewidth=0.5)
    axes.tick_params(axis="y", labelsize=6.5, length=2, width=0.5)
