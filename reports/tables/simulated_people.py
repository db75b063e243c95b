# SPDX-License-Identifier: Apache-2.0
"""How often the intervals of a study hold known preferences: a line a kind of study."""

from collections.abc import Sequence

import pandas as pd

from spade_eval.reports.statistics.simulated_people import KINDS, Held, People
from spade_eval.reports.tables.table import Cell, Column, Table, count_cell, number_cell

_HEADINGS = {
    "exact": "independent answers",
    "clustered": "other images",
    "crossed": "other images and people",
    "alpha": "alpha",
}


def people_validation_table(held: Sequence[Held], replications: int) -> Table:
    """Lay out coverage, widths and verdicts."""
    people = [item.people for item in held]
    facts = {
        "images": [count_cell(item.images) for item in people],
        "answers each": [count_cell(item.each) for item in people],
        "people": [count_cell(_people(item)) for item in people],
        "sd of images": [_plain(item.image_sd) for item in people],
        "sd of people": [_plain(item.person_sd) for item in people],
        "preference, %": [number_cell(item.preference, "%", 1) for item in people],
    }
    columns = [Column(heading=name, cells=tuple(cells)) for name, cells in facts.items()]
    columns += [
        Column(
            heading=f"held by {heading}, %",
            cells=tuple(number_cell(item.coverage[kind], "%", 1) for item in held),
        )
        for kind, heading in _HEADINGS.items()
    ]
    columns += [
        Column(
            heading=f"width of {_HEADINGS[kind]}, points",
            cells=tuple(number_cell(100 * item.width[kind], "", 1) for item in held),
        )
        for kind in KINDS
    ]
    columns += [
        Column(
            heading=f"differences seen by {_HEADINGS[kind]}, %",
            cells=tuple(number_cell(item.verdicts[kind], "%", 1) for item in held),
        )
        for kind in KINDS
    ]
    return Table(
        title=f"Intervals of 95% on {replications:,} simulated studies of each kind",
        columns=tuple(columns),
        notes=(
            f"A share of {replications:,} has a standard error of at most "
            f"{100 * (0.95 * 0.05 / replications) ** 0.5:.1f} points at 95%.",
            "Standard deviations are of the logit; at a preference of 50% a difference that is "
            "seen is a false one. Alpha is the truth of people without preferences of their own.",
        ),
        frame=_frame(held),
    )


def _people(item: People) -> int:
    return -(-item.images * item.each // item.per_person)


def _plain(value: float) -> Cell:
    return Cell(text=f"{value:g}", value=value)


def _frame(held: Sequence[Held]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                **vars(item.people),
                "preference": item.people.preference,
                "alpha": item.people.alpha,
                "bias": item.bias,
                **{f"coverage_{kind}": value for kind, value in item.coverage.items()},
                **{f"width_{kind}": value for kind, value in item.width.items()},
                **{f"verdicts_{kind}": value for kind, value in item.verdicts.items()},
            }
            for item in held
        ]
    )
