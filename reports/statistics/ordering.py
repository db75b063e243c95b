# SPDX-License-Identifier: Apache-2.0
"""Whether measured rows come out in the order in which the paper has them.

Two rows are ordered by the paper where one is ahead of the other on every one of its datasets, and
by the measurements where their means are further apart than both spreads over seeds together. What
was measured once has no spread, so nothing is concluded from it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import pandas as pd

from spade_eval.reports.measured.grouping import REFERENCE_KINDS

_METRIC = "miou"
Verdict = Literal["as in the paper", "reversed", "too close"]


@dataclass(frozen=True)
class OrderedPair:
    """Two rows of a table: `better` is ahead in the paper."""

    better: str
    worse: str
    difference: float  # measured, in fractions; negative where the order is reversed
    verdict: Verdict


def ordered_pairs(
    measured: pd.DataFrame, published: pd.DataFrame, metric: str = _METRIC
) -> list[OrderedPair]:
    """Return pairs of one dataset's rows (`paper_table`) that the paper's own table orders.

    Rows are compared within their group, as the table is grouped, and never with themselves: where
    two lines are the same model there is nothing to order.
    """
    rows = measured[~measured["kind"].isin(REFERENCE_KINDS) & measured["model"].notna()]
    rows = rows[rows[metric].notna()]
    pairs = []
    for one, other in combinations(rows.to_dict("records"), 2):
        if one["group"] != other["group"] or one["model"] == other["model"]:
            continue
        sign = _published_order(published, one["row"], other["row"], metric)
        if sign:
            ahead, behind = (one, other) if sign > 0 else (other, one)
            pairs.append(_pair(ahead, behind, metric))
    return pairs


def _pair(ahead: Mapping[Any, Any], behind: Mapping[Any, Any], metric: str) -> OrderedPair:
    difference = ahead[metric] - behind[metric]
    spread = ahead[f"{metric}_spread"] + behind[f"{metric}_spread"]
    verdict: Verdict = "too close"
    if not math.isnan(spread) and abs(difference) > spread:
        verdict = "as in the paper" if difference > 0 else "reversed"
    return OrderedPair(ahead["row"], behind["row"], difference, verdict)


def _published_order(published: pd.DataFrame, one: str, other: str, metric: str) -> int:
    """1 where the paper has `one` ahead on all of its datasets, -1 for `other`, else 0."""
    table = published.pivot_table(index="dataset", columns="row", values=f"{metric}_paper")
    if one not in table or other not in table:
        return 0
    differences = (table[one] - table[other]).dropna()
    if len(differences) and (differences > 0).all():
        return 1
    return -1 if len(differences) and (differences < 0).all() else 0


def ordering_lines(table: pd.DataFrame, published: pd.DataFrame) -> list[str]:
    """Say in plain sentences what holds for every dataset of a measured table."""
    lines = []
    for dataset, measured in table.groupby("dataset", sort=False):
        if not measured[_METRIC].notna().any():
            continue
        pairs = ordered_pairs(measured, published)
        lines += [f"{dataset}: {line}" for line in _sentences(pairs)]
    return lines


def _sentences(pairs: list[OrderedPair]) -> list[str]:
    if not pairs:
        return [
            "no two measured rows have verified mIoU in the paper that order them, so nothing can "
            "be said of the paper's order."
        ]
    told = {
        verdict: [pair for pair in pairs if pair.verdict == verdict]
        for verdict in ("as in the paper", "reversed", "too close")
    }
    lines = [
        f"the paper orders {len(pairs)} pairs of the measured rows by mIoU the same way on all of "
        f"its datasets; {len(told['as in the paper'])} come out in that order here, "
        f"{len(told['reversed'])} reversed, {len(told['too close'])} differ by less than their "
        "spread over seeds."
    ]
    for verdict, said in (
        ("as in the paper", "as in the paper"),
        ("reversed", "reversed (first is ahead in the paper)"),
        ("too close", "too close to tell (first is ahead in the paper)"),
    ):
        if told[verdict]:
            lines.append(f"{said}: {'; '.join(map(_text, told[verdict]))}.")
    return lines


def _text(pair: OrderedPair) -> str:
    return f"{pair.better} over {pair.worse} ({100 * pair.difference:+.1f} points)"
