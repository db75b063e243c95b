# SPDX-License-Identifier: Apache-2.0
"""What stopping at any look costs and holds, as a table: a line for each row and pair of rows."""

import math
from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd

from spade_eval.metrics.stopping import StoppingRule
from spade_eval.reports.statistics.stopping_validation import Stopped
from spade_eval.reports.tables.table import Cell, Column, Table, name_column, rounded


def stopping_table(
    items: Sequence[Stopped], rule: StoppingRule, looks: Sequence[int], replications: int
) -> Table:
    """Lay out what was measured of a rule; `looks` are the numbers of images looked at."""
    last = f"{looks[-1]:,}"
    return Table(
        title=f"The truth is left out at some look, % of {replications:,} draws of {last} images",
        columns=(
            name_column("row", [item.subject for item in items]),
            _shares("sequence", items, "sequence"),
            _shares("interval of 95%", items, "interval"),
            _shares(f"interval at {last} alone", items, "interval_alone"),
            _shares("false verdicts, sequence", items, "false_verdicts"),
            _shares("false verdicts, interval", items, "false_by_interval"),
            Column(heading=f"{rule} stops after", cells=tuple(map(_ended, items))),
            _shares("interval there", items, "interval_there"),
        ),
        notes=_notes(items, rule, looks, replications),
        frame=pd.DataFrame([asdict(item) for item in items]),
    )


def _shares(heading: str, items: Sequence[Stopped], field: str) -> Column:
    values = [getattr(item, field) for item in items]
    cells = [
        Cell() if math.isnan(value) else Cell(text=rounded(100 * value, 1), value=100 * value)
        for value in values
    ]
    return Column(heading=heading, cells=tuple(cells))


def _ended(item: Stopped) -> Cell:
    """Show from how few to how many images, and the median of all draws that ended."""
    if math.isnan(item.median):
        return Cell()
    text = f"{item.median:,.0f} ({item.least:,.0f} to {item.most:,.0f})"
    return Cell(text=text, value=item.median)


def _notes(
    items: Sequence[Stopped], rule: StoppingRule, looks: Sequence[int], replications: int
) -> tuple[str, ...]:
    error = 100 * math.sqrt(0.05 * 0.95 / replications)
    open_ends = [
        f"{item.subject} {100 * (1 - item.ended):.1f}%" for item in items if item.ended < 1
    ]
    return (
        f"{rule.metric} at {len(looks)} looks, from {looks[0]:,} images to {looks[-1]:,}: the "
        "confidence sequence of --until, and the interval of that look alone, value ± 1.96 "
        f"standard errors. A share of 5% is known to {error:.1f} points, one standard error.",
        "False verdicts: a coin decides for each label map which of the two rows is which, so that "
        "nothing differs; counted is who calls one the better at some look.",
        f"Stops: images after which {rule} is met, median of the draws, least and most; interval "
        "there: how often the interval leaves out the truth at that image."
        + (f" Not met at {looks[-1]:,}: {', '.join(open_ends)} of the draws." if open_ends else ""),
    )
