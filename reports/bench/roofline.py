# SPDX-License-Identifier: Apache-2.0
"""Stages of a network under the roofline of a machine: what limits each, arithmetic or memory.

Williams, Waterman and Patterson, "Roofline" (2009): operations a second against operations for
each byte that has to be moved. No stage can be above the slope (the memory's bytes a second) nor
above the flat (the operations a second of a large matrix product); one far below both is limited
by something else.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spade_eval.errors import UserError
from spade_eval.reports.bench.lines import Line, facts_of
from spade_eval.reports.bench.page import bench_page, legend_beside, logarithmic
from spade_eval.reports.plots.page import INK, MARGIN, WIDTH, Page, both_grids, marker_style, styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Looks = Mapping[str, tuple[str, str]]
_GIGA = 1e9
_LEFT, _GAP, _HEIGHT, _HEAD, _FOOT = 0.62, 0.5, 2.4, 0.25, 0.5  # inches
_LARGEST, _SMALLEST = 12.0, 3.5  # points, diameter of a mark
_CAPTION = (
    "Lines: what the machine reaches in bytes a second (slope) and operations a second (flat). "
    "The area of a mark is its stage's share of the time of those shown."
)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One mark, and the ceilings that were measured beside it; in billions a second."""

    name: str
    form: str
    intensity: float  # operations a byte
    speed: float
    seconds: float
    flat: float
    slope: float
    line: Line


Forms = Mapping[str, Sequence[Stage]]


def draw_roofline(lines: Sequence[Line]) -> tuple[Page, str] | None:
    """A row of panels for what was measured alike, a panel a form, a mark a stage."""
    groups = _groups([stage for line in lines for stage in _stages(line)])
    if not groups:
        return None
    stages = [stage for group in groups for stage in _all(group)]
    names = list(dict.fromkeys(stage.name for stage in stages))
    looks = dict(zip(names, styles(names), strict=True))
    pitch = _HEAD + _HEIGHT + _FOOT
    page, titles = bench_page(
        "Roofline: what limits the stages", _CAPTION,
        [facts_of(_all(group)[0].line) for group in groups], [stage.line for stage in stages],
        pitch * len(groups),
    )  # fmt: skip
    room = WIDTH - _LEFT - MARGIN - legend_beside(page, looks, lines=False)
    for place, (group, title) in enumerate(zip(groups, titles, strict=True)):
        width = (room - _GAP * (len(group) - 1)) / len(group)
        for column, (form, marks) in enumerate(group.items()):
            x, y = _LEFT + column * (width + _GAP), place * pitch + _HEAD
            axes = page.axes(x, y, width, _HEIGHT)
            named = f"{form}: {title}" if title and column == 0 else form
            axes.set_title(named, fontsize=8, loc="left", pad=3, color=INK)
            _draw_panel(axes, marks, _all(group), looks, width)
            if column == 0:
                axes.set_ylabel("billions of operations a second", fontsize=8, color=INK)
    return page, _CAPTION


def _all(group: Forms) -> list[Stage]:
    return [stage for stages in group.values() for stage in stages]


def _stages(line: Line) -> list[Stage]:
    """The line's mark; none for a stage without operations, which a logarithm cannot show."""
    try:
        operations, moved, seconds = (
            float(line[name]) for name in ("operations", "bytes", "seconds")
        )
        if not (operations > 0 and moved > 0 and seconds > 0):
            return []
        stage = Stage(
            name=str(line["stage"]),
            form=str(line["form"]),
            intensity=operations / moved,
            speed=operations / seconds / _GIGA,
            seconds=seconds,
            flat=float(line["operations_per_second"]) / _GIGA,
            slope=float(line["bytes_per_second"]) / _GIGA,
            line=line,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"a line of bench count cannot be drawn ({type(error).__name__}: {error}); this "
            "version of the suite prints others: delete it or measure again"
        ) from error
    return [stage]


def _groups(stages: Sequence[Stage]) -> list[Forms]:
    """By form, what was measured alike; of a stage measured again, the latest."""
    found: dict[tuple[tuple[str, str], ...], dict[tuple[str, str], Stage]] = defaultdict(dict)
    for stage in stages:
        found[tuple(facts_of(stage.line).items())][stage.form, stage.name] = stage
    groups: list[Forms] = []
    for latest in found.values():
        forms: dict[str, list[Stage]] = defaultdict(list)
        for stage in latest.values():
            forms[stage.form].append(stage)
        if any(len({stage.intensity for stage in marks}) > 1 for marks in forms.values()):
            groups.append(dict(forms))
    return groups


def _draw_panel(
    axes: "Axes", marks: Sequence[Stage], group: Sequence[Stage], looks: Looks, width: float
) -> None:
    """`group` are the marks of all panels of the row, which set the same axes."""
    flat, slope = group[-1].flat, group[-1].slope
    ridge = flat / slope
    intensities = [ridge, *(stage.intensity for stage in group)]
    logarithmic(axes, "x", intensities)
    logarithmic(axes, "y", [flat, *(stage.speed for stage in group)])
    low, high = axes.get_xlim()
    axes.plot([low, ridge], [slope * low, flat], color=INK, linewidth=1.0)
    axes.plot([ridge, high], [flat, flat], color=INK, linewidth=1.0)
    total = math.fsum(stage.seconds for stage in marks)
    for stage in marks:
        size = max(_SMALLEST, _LARGEST * math.sqrt(stage.seconds / total))
        style = marker_style(*looks[stage.name])
        axes.plot(stage.intensity, stage.speed, **style, markersize=size)
    axes.set_xlabel("operations a byte", fontsize=8, color=INK)
    both_grids(axes)
    _name_ceilings(axes, flat, slope, width)


def _name_ceilings(axes: "Axes", flat: float, slope: float, width: float) -> None:
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    angle = math.degrees(
        math.atan2(_HEIGHT / math.log(top / bottom), width / math.log(right / left))
    )
    start = max(left, bottom / slope) * 1.1
    axes.annotate(f"{slope:.3g} GB/s", (start, slope * start), (-2, 5), rotation=angle,
                  textcoords="offset points", rotation_mode="anchor", fontsize=6.5, color=INK,
                  annotation_clip=False)  # fmt: skip
    axes.annotate(f"{flat:.3g} billion/s", (right, flat), (-2, 3), ha="right",
                  textcoords="offset points", fontsize=6.5, color=INK)  # fmt: skip
