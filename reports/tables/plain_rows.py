# SPDX-License-Identifier: Apache-2.0
"""Rows of tables as plain values, for programs that read what `--json` prints.

Values are as recorded, fractions for percentages, and NaN where there is none.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from spade_eval.reports.measured.grouping import ProtocolGroup
from spade_eval.reports.measured.row_facts import ROW_FACTS
from spade_eval.reports.statistics.intervals import Uncertainties, Uncertainty
from spade_eval.reports.statistics.normalised import METRIC
from spade_eval.reports.statistics.standings import NOTHING_TESTED

PlainRow = Mapping[str, Any]

_PARTS = ("spread", "paper", "difference", "seeds_low", "seeds_high", "images_low",
          "images_high", "best")  # of a metric's columns  # fmt: skip


def rows_of_groups(groups: Sequence[ProtocolGroup], known: Uncertainties) -> tuple[PlainRow, ...]:
    """Return every row of every protocol: each value with the ends of its 95% interval or None.

    A distance has a corrected value as well, without its bias, and the interval is of that one.
    """
    return tuple(row for group in groups for row in _rows_of_group(group, known[group.key]))


def _rows_of_group(group: ProtocolGroup, known: Uncertainty) -> Iterator[PlainRow]:
    for row in group.rows:
        values = {}
        for metric, item in row.scores.items():
            low, high = known.intervals.get((row.title, metric), (None, None))
            corrected = known.corrected.get((row.title, metric))
            about = {"unit": item.unit, "larger_is_better": item.larger_is_better}
            values[metric] = {"value": item.value, "low": low, "high": high, **about}
            standing = known.standings.get(metric, NOTHING_TESTED)
            values[metric]["best"] = row.title in standing.marked
            if metric == METRIC and row.title in known.normalised:
                share = known.normalised[row.title]
                values[metric] |= {"normalised": share.value, "normalised_low": share.low,
                                   "normalised_high": share.high}  # fmt: skip
            if corrected is not None:
                values[metric] |= {"corrected": corrected.value, "remark": corrected.remark or None}
        first = row.measurements[0]
        yield {
            "row": row.title,
            "kind": row.kind,
            "table": group.title,
            "dataset": group.key.dataset,
            "profile": group.key.profile,
            "seed": first.seed,
            "num_images": first.num_images,
            "facts": {fact.name: getattr(first, fact.name) for fact in ROW_FACTS},
            "values": values,
        }


def rows_of_frame(frame: pd.DataFrame) -> tuple[PlainRow, ...]:
    """Return the rows of a leaderboard or of a paper's table; a metric's columns are one value."""
    metrics: Mapping[str, Any] = frame.attrs["metrics"]
    return tuple(
        {"table": frame.attrs["title"], **_row_of_frame(record, metrics)}
        for record in frame.astype(object).where(frame.notna(), None).to_dict("records")
    )


def _row_of_frame(record: Mapping[Any, Any], metrics: Mapping[str, Any]) -> PlainRow:
    """`miou` and `miou_spread` become {"miou": {"value": ..., "spread": ...}}."""
    facts, values = dict(record), {}
    for metric, about in metrics.items():
        parts = {"value": facts.pop(metric, None)}
        for part in _PARTS:
            if f"{metric}_{part}" in facts:
                parts[part] = facts.pop(f"{metric}_{part}")
        values[metric] = {**parts, "unit": about["unit"]}
        values[metric]["larger_is_better"] = about["larger_is_better"]
    return {**facts, "values": values}
