# SPDX-License-Identifier: Apache-2.0
"""Statistics of a study on ratings that others published: agreement, preferences, people."""

from collections.abc import Sequence

import pandas as pd

from spade_eval.reports.statistics.ratings import chance_of_other_half
from spade_eval.reports.tables.table import (
    Column,
    Table,
    count_cell,
    name_column,
    number_cell,
    rounded,
)

Ends = tuple[float, float]
Line = dict[str, object]


def _half() -> str:
    return (
        "Held: how often an interval of 95% from one half holds the value of the other half, "
        f"expected {100 * chance_of_other_half():.1f}%"
    )


def agreement_table(lines: Sequence[Line], splits: int) -> Table:
    """Lay out alpha of every system and score beside what ImagenHub prints."""
    return Table(
        title="Agreement of three raters (ImagenHub)",
        columns=(
            _names("task", lines),
            _names("system", lines),
            _names("score", lines),
            _numbers("mean", lines, 3),
            _numbers("printed mean", lines, 2),
            _numbers("alpha", lines, 3),
            _ends("other images", lines, 1, 2),
            _numbers("of printed kappa", lines, 2),
            _percents("held by other images", lines),
        ),
        notes=(
            f"{_half()}; {splits:,} random halves of the images.",
            "Of printed kappa: alpha that follows from Fleiss' kappa of two decimals.",
        ),
        frame=_frame(lines),
    )


def rated_preference_table(lines: Sequence[Line], splits: int) -> Table:
    """Lay out preferences and strengths that follow from ratings of the same image."""
    return Table(
        title="Preferences that follow from ratings (ImagenHub)",
        columns=(
            _names("preferred", lines),
            _names("over", lines),
            _names("score", lines),
            _counts("decided", lines),
            _counts("ties", lines),
            _percents("preference", lines),
            _ends("independent answers", lines, 100, 1),
            _ends("other images", lines, 100, 1),
            _numbers("design effect", lines, 2),
            _percents("held by independent answers", lines),
            _percents("held by other images", lines),
        ),
        notes=(
            f"Who rates one image higher prefers it; equal ratings are ties. {_half()}; "
            f"{splits:,} random halves of the images.",
        ),
        frame=_frame(lines),
    )


def rated_strength_table(lines: Sequence[Line], splits: int) -> Table:
    """Lay out strengths of three systems."""
    return Table(
        title="Strengths that follow from ratings (ImagenHub)",
        columns=(
            _names("system", lines),
            _names("score", lines),
            _numbers("mean", lines, 3),
            _numbers("strength", lines, 2),
            _ends("other images", lines, 1, 2),
            _percents("held by other images", lines),
        ),
        notes=(f"{_half()}; {splits:,} random halves of the images.",),
        frame=_frame(lines),
    )


def mistaken_table(lines: Sequence[Line], splits: int) -> Table:
    """Lay out how often people, each shown other images, took generated ones for real."""
    return Table(
        title="Generated bedrooms taken for real (dgm-eval, LSUN)",
        columns=(
            _names("model", lines),
            _counts("people", lines),
            _percents("taken for real", lines),
            _ends("independent answers", lines, 100, 1),
            _ends("other images and people", lines, 100, 1),
            _percents("held by independent answers", lines),
            _percents("held by other images and people", lines),
        ),
        notes=(
            f"100 generated images a person. {_half()}, and {100 * chance_of_other_half(12):.1f}% "
            f"by Student's law for 13 people; {splits:,} random halves of the people.",
        ),
        frame=_frame(lines),
    )


def _frame(lines: Sequence[Line]) -> pd.DataFrame:
    """Keep every digit; both ends of an interval have a column."""
    frame = pd.DataFrame(lines)
    for name in [name for name in frame if isinstance(frame[name].iloc[0], tuple)]:
        place = frame.columns.get_loc(name)
        for ends, end in enumerate(("low", "high")):
            frame.insert(place + ends, f"{name}, {end}", frame[name].str[ends])
        frame = frame.drop(columns=name)
    return frame


def _names(name: str, lines: Sequence[Line]) -> Column:
    return name_column(name, [str(line[name]) for line in lines])


def _counts(name: str, lines: Sequence[Line]) -> Column:
    return Column(heading=name, cells=tuple(count_cell(line[name]) for line in lines))


def _numbers(name: str, lines: Sequence[Line], decimals: int) -> Column:
    cells = tuple(number_cell(_float(line[name]), "", decimals) for line in lines)
    return Column(heading=name, cells=cells)


def _percents(name: str, lines: Sequence[Line]) -> Column:
    cells = tuple(number_cell(_float(line[name]), "%", 1) for line in lines)
    return Column(heading=f"{name}, %", cells=cells)


def _ends(name: str, lines: Sequence[Line], factor: float, decimals: int) -> Column:
    return name_column(name, [_interval(line[name], factor, decimals) for line in lines])


def _interval(ends: object, factor: float, decimals: int) -> str:
    assert isinstance(ends, tuple)
    return " to ".join(rounded(factor * end, decimals) for end in ends)


def _float(value: object) -> float:
    assert isinstance(value, int | float)
    return float(value)
