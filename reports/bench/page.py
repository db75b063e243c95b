# SPDX-License-Identifier: Apache-2.0
"""What the figures of measured speeds share: title and notes of their lines, logarithmic axes."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from spade_eval.reports.bench.lines import MACHINE_FACTS, Line
from spade_eval.reports.plots.page import INK, MARGIN, WIDTH, Page, marker_style, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Facts = Mapping[str, str]  # see `spade_eval.reports.bench.lines.facts_of`
_MOST_TICKS = 7
_LONGEST_NAME = 26  # in a legend, before its parenthesis goes into another line
_TICK_ROOM = 0.06  # inches between the labels of an axis


def bench_page(
    title: str, caption: str, facts: Sequence[Facts], lines: Sequence[Line], body_height: float
) -> tuple[Page, list[str]]:
    """Lay out a page that says what all groups of lines share, and what is each group's own.

    `facts` has an entry for each group; a group's text is empty where it is the only one.
    """
    shared = {
        name: text
        for name, text in facts[0].items()
        if all(other.get(name) == text for other in facts)
    }
    own = [", ".join(text for name, text in group.items() if name not in shared) for group in facts]
    about = ", ".join(text for name, text in shared.items() if name not in MACHINE_FACTS)
    notes = [caption, _measured(shared, lines)]
    return Page(f"{title}: {about}" if about else title, notes, body_height), own


def _measured(shared: Facts, lines: Sequence[Line]) -> str:
    parts = [shared[name] for name in MACHINE_FACTS if name in shared]
    for name, title in (("repeats", "runs of each"), ("warm_up", "runs before, not counted")):
        numbers = sorted({int(line[name]) for line in lines if name in line})
        if numbers:
            parts.append(f"{title}: {', '.join(map(str, numbers))}")
    commits = sorted({_commit(line) for line in lines if line.get("commit")})
    if commits:
        parts.append(f"commit {', '.join(commits)}")
    return f"Measured on {'; '.join(parts)}." if parts else "Machines differ, as the titles say."


def _commit(line: Line) -> str:
    return str(line["commit"])[:8] + ("" if line.get("commit_clean") else " with changes")


def values_on_x(axes: "Axes", values: Sequence[float], width: float, *, log: bool) -> None:
    """Draw an axis of `width` inches with ticks at the values themselves, where they have room."""
    values = sorted(set(values))
    margin = 0.06 * (math.log(values[-1] / values[0]) if log else values[-1] - values[0])
    if log:
        axes.set_xscale("log")
        axes.set_xlim(values[0] / math.exp(margin), values[-1] * math.exp(margin))
    else:
        axes.set_xlim(values[0] - margin, values[-1] + margin)
    places = [math.log(value) if log else value for value in values]
    inches = width / (places[-1] - places[0] + 2 * margin)
    room = text_width([f"{round(value):,}" for value in values], 6.5) + _TICK_ROOM
    kept = [0, len(values) - 1]  # the ends say most
    for index, place in enumerate(places):
        if all(abs(place - places[other]) * inches >= room for other in kept):
            kept.append(index)
    kept.sort()
    axes.set_xticks(
        [values[index] for index in kept], labels=[f"{round(values[index]):,}" for index in kept]
    )
    axes.minorticks_off()


def one_two_five(values: Sequence[float]) -> list[float]:
    """Return ticks 1, 2, 5, 10, ... around the values; powers of ten alone if those are many."""
    exponents = range(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))) + 1)
    ticks = [float(f"{digit}e{exponent}") for exponent in exponents for digit in (1, 2, 5)]
    first = max(tick for tick in ticks if tick <= min(values))
    last = min(tick for tick in ticks if tick >= max(values))
    inside = [tick for tick in ticks if first <= tick <= last]
    return inside if len(inside) <= _MOST_TICKS else ticks[::3]


def logarithmic_y(axes: "Axes", values: Sequence[float]) -> None:
    """Draw a logarithmic y axis from tick to tick around the values."""
    ticks = one_two_five(values)
    axes.set_yscale("log")
    axes.set_yticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    axes.set_ylim(min(ticks[0], *values) / 1.06, max(ticks[-1], *values) * 1.06)
    axes.minorticks_off()


def legend_beside(page: Page, looks: Mapping[str, tuple[str, str]]) -> float:
    """Name every mark to the right of the panels; returns the inches that takes."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], **(marker_style(*look) | {"linestyle": "-"}), linewidth=1.1, markersize=4.5)
        for look in looks.values()
    ]
    names = [name.replace(" (", "\n(") if len(name) > _LONGEST_NAME else name for name in looks]
    width = text_width([part for name in names for part in name.split("\n")], 7) + 0.5
    page.figure.legend(
        handles, names, loc="upper left", frameon=False,
        fontsize=7, borderaxespad=0.0,
        bbox_to_anchor=(1 - (width + 0.5 * MARGIN) / WIDTH, 1 - (page.top + 0.2) / page.height),
        labelcolor=INK,
    )  # fmt: skip
    return width
