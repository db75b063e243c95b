# SPDX-License-Identifier: Apache-2.0
"""The tables of a study: Table 2 with the paper's own lines below, strengths of rows, people."""

import math
from collections.abc import Sequence

import pandas as pd

from spade_eval.reports.statistics.bootstrap import Floats
from spade_eval.reports.statistics.preferences import Preference, clopper_pearson
from spade_eval.reports.statistics.study_answers import FEWEST_RIGHT, Pair, Person, StudyAnswers
from spade_eval.reports.tables.published import published
from spade_eval.reports.tables.table import (
    Cell,
    Column,
    Table,
    count_cell,
    name_column,
    number_cell,
    rounded,
)

_PRINTED_ANSWERS = 2500  # "500 questions per dataset and pair, 5 workers each"
_PAPER, _METRIC = "SPADE (arXiv 1903.07291)", "user_preference"
_OVER = "preferred over "
Ends = tuple[float, float]
_NONE: Ends = (math.nan, math.nan)
_INTERVALS = {
    "independent answers": "exact",
    "other images": "clustered",
    "other images and people": "crossed",
}
_NOTES = (
    "Preference: decided answers for the row, of all decided ones; ties are left out.",
    "Intervals of 95%. Independent answers: Clopper and Pearson, exact where no two answers share "
    "an image or a person. Other images: images drawn anew, the same people asked. Other images "
    "and people: both drawn anew. docs/study.md has the equations and how often they hold.",
    "Alpha: Krippendorff's, of who agrees about single images: 1 all, 0 as by chance.",
    "Needed: decided answers that show a preference of this size at 5% with a chance of 80%, with "
    "as many about each image as here.",
    f"Below the rule: printed in Table 2 of the SPADE paper; their interval is derived from "
    f"{_PRINTED_ANSWERS:,} answers as if they were independent. Other data and other trainings.",
)


def preference_table(
    study: StudyAnswers,
    found: Sequence[tuple[Pair, Preference, tuple[float, float, float]]],
    notes: Sequence[str],
) -> Table:
    """Lay out a line a pair, then those of the paper; `found` has each pair's alpha as well."""
    data = study.key.data
    lines = [
        {
            "row": pair[0],
            "over": pair[1],
            "data": f"{data.dataset} {data.split}",
            "preference": known.value,
            **{name: getattr(known, name) for name in _INTERVALS.values()},
            "decided": known.decided,
            "ties": known.ties,
            "images": known.images,
            "alpha": alpha,
            "design_effect": known.design_effect,
            "needed": known.needed,
        }
        for pair, known, alpha in found
    ]
    measured = len(lines)
    lines += _printed_lines()
    return Table(
        title="Preferences (Table 2)",
        columns=tuple(_columns(lines)),
        rules=frozenset({measured}),
        notes=(*notes, *_NOTES),
        frame=_frame(lines),
    )


def _columns(lines: Sequence[dict[str, object]]) -> list[Column]:
    def of(name: str) -> list[object]:
        return [line.get(name) for line in lines]

    columns = [
        name_column("preferred", list(map(str, of("row")))),
        name_column("over", list(map(str, of("over")))),
        name_column("data", list(map(str, of("data")))),
        Column(
            heading="preference, %",
            cells=tuple(number_cell(_number(value), "%", 1) for value in of("preference")),
        ),
    ]
    columns += [
        name_column(heading, [_interval(ends) for ends in of(name)])
        for heading, name in _INTERVALS.items()
    ]
    columns += [
        Column(heading=name, cells=tuple(count_cell(value) for value in of(name)))
        for name in ("decided", "ties", "images")
    ]
    columns.append(Column(heading="alpha", cells=tuple(_alpha(value) for value in of("alpha"))))
    columns.append(Column(heading="needed", cells=tuple(_needed(value) for value in of("needed"))))
    return columns


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _interval(ends: object) -> str:
    low, high = ends if isinstance(ends, tuple) else _NONE
    if math.isnan(low):
        return "-"
    return f"{rounded(100 * low, 1)} to {rounded(100 * high, 1)}"


def _alpha(value: object) -> Cell:
    alpha, low, high = value if isinstance(value, tuple) else (math.nan,) * 3
    if math.isnan(alpha):
        return Cell()
    spread = "" if math.isnan(low) else f"({rounded(low, 2)} to {rounded(high, 2)})"
    return Cell(text=rounded(alpha, 2), value=alpha, spread=spread)


def _needed(value: object) -> Cell:
    needed = _number(value)
    if math.isnan(needed):
        return Cell()
    if math.isinf(needed):
        return Cell(text="more than a study has")
    return Cell(text=f"{math.ceil(needed):,}", value=needed)


def _printed_lines() -> list[dict[str, object]]:
    """Table 2 as it is printed; pairs that it has no number of are left out."""
    rows = published()
    rows = rows[(rows["paper"] == _PAPER) & (rows["metric"] == _METRIC) & rows["value"].notna()]
    return [
        {
            "row": line.method,
            "over": str(line.variant).removeprefix(_OVER),
            "data": f"{line.dataset}, printed",
            "preference": line.value / 100,
            "exact": clopper_pearson(round(line.value * _PRINTED_ANSWERS / 100), _PRINTED_ANSWERS),
            "decided": _PRINTED_ANSWERS,
        }
        for line in rows.itertuples()
    ]


def _frame(lines: Sequence[dict[str, object]]) -> pd.DataFrame:
    """Every digit: a column an end of each interval, fractions."""
    names = ("row", "over", "data", "preference", "decided", "ties", "images", "design_effect",
             "needed")  # fmt: skip
    columns: dict[str, list[object]] = {name: [line.get(name) for line in lines] for name in names}
    for name in _INTERVALS.values():
        ends = [line.get(name, _NONE) for line in lines]
        for place, end in enumerate(("low", "high")):
            columns[f"{name}_{end}"] = [pair[place] for pair in ends]  # type: ignore[index]
    triples = [line.get("alpha", (math.nan,) * 3) for line in lines]
    for place, end in enumerate(("alpha", "alpha_low", "alpha_high")):
        columns[end] = [triple[place] for triple in triples]  # type: ignore[index]
    return pd.DataFrame(columns)


def strength_table(rows: Sequence[str], strengths: tuple[Floats, Floats, Floats]) -> Table:
    """Lay out the Bradley-Terry strengths of three rows and more, the strongest first."""
    values, lows, highs = strengths
    order = sorted(range(len(rows)), key=lambda place: -_or_least(float(values[place])))
    named = [rows[place] for place in order]
    frame = pd.DataFrame(
        {
            "row": named,
            "strength": [values[place] for place in order],
            "low": [lows[place] for place in order],
            "high": [highs[place] for place in order],
        }
    )
    missing = () if not any(map(math.isnan, values)) else (
        "No strengths: some row wins, or loses, all answers against the rest, so that no finite "
        "strength fits.",
    )  # fmt: skip
    return Table(
        title="Strengths of the rows (Bradley and Terry)",
        columns=(
            name_column("row", named),
            Column(
                heading="strength",
                cells=tuple(number_cell(values[place], "", signed=True) for place in order),
                larger_is_better=True,
            ),
            name_column("95%, other images", [_ends(lows[place], highs[place]) for place in order]),
        ),
        notes=(
            *missing,
            "Logarithms with mean 0: a difference d is a preference of 1 / (1 + exp(-d)).",
        ),
        frame=frame,
    )


def _or_least(value: float) -> float:
    return -math.inf if math.isnan(value) else value


def _ends(low: float, high: float) -> str:
    return "-" if math.isnan(low) else f"{rounded(low, 2)} to {rounded(high, 2)}"


def people_table(people: Sequence[Person]) -> Table:
    """Lay out who answered; names are numbers, in the order of the drawn names."""
    frame = pd.DataFrame(
        {
            "person": [str(place) for place in range(1, len(people) + 1)],
            "sheet": [person.sheet + 1 for person in people],
            "answers": [person.answers for person in people],
            "of": [person.of for person in people],
            "checks_right": [person.checks[0] for person in people],
            "checks": [person.checks[1] for person in people],
            "repeats_equal": [person.repeats[0] for person in people],
            "repeats": [person.repeats[1] for person in people],
            "left": [person.left for person in people],
            "seconds": [person.seconds for person in people],
            "counts": [person.counts for person in people],
        }
    )
    return Table(
        title="People",
        columns=(
            name_column("person", list(frame["person"])),
            name_column("sheet", [str(value) for value in frame["sheet"]]),
            name_column("answers", [f"{person.answers} of {person.of}" for person in people]),
            name_column("checks right", ["{} of {}".format(*person.checks) for person in people]),
            name_column("repeats equal", ["{} of {}".format(*item.repeats) for item in people]),
            Column(
                heading="left, %",
                cells=tuple(number_cell(person.left, "%", 0) for person in people),
            ),
            Column(
                heading="seconds",
                cells=tuple(number_cell(person.seconds, "", 1) for person in people),
            ),
            name_column("counts", ["yes" if person.counts else "no" for person in people]),
        ),
        notes=(
            "Checks: the real photo against noise; who has fewer than "
            f"{FEWEST_RIGHT:.0%} right is left out. Seconds: the median of an answer.",
        ),
        frame=frame,
    )
