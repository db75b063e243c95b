# SPDX-License-Identifier: Apache-2.0
"""Whether measured rows come out in the order in which the paper has them.

Two rows are ordered by the paper where one is ahead of the other on every one of its datasets, and
by the measurements where a test over seeds says so (`over_seeds.py`), all pairs of a group held
together. Rows that are not trained three times are not tested, so nothing is concluded from them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import pandas as pd

from spade_eval.reports.measured.grouping import REFERENCE_KINDS
from spade_eval.reports.statistics.standings import Standing

_METRIC = "miou"
_AHEAD = "(first is ahead in the paper)"
_SAID = {
    "as in the paper": "as in the paper",
    "reversed": f"reversed {_AHEAD}",
    "not shown": f"not shown {_AHEAD}",
    "not tested": f"not tested {_AHEAD}",
}
Verdict = Literal["as in the paper", "reversed", "not shown", "not tested"]


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
            results = measured.attrs["results"][one["dataset"], one["group"]]
            pairs.append(_pair(ahead, behind, metric, results[metric].standing))
    return pairs


def _pair(
    ahead: Mapping[Any, Any], behind: Mapping[Any, Any], metric: str, standing: Standing
) -> OrderedPair:
    better, worse = ahead["row"], behind["row"]
    verdict: Verdict = "not shown"
    if better not in standing.titles or worse not in standing.titles:
        verdict = "not tested"
    elif (better, worse) in standing.shown:
        verdict = "as in the paper"
    elif (worse, better) in standing.shown:
        verdict = "reversed"
    return OrderedPair(better, worse, ahead[metric] - behind[metric], verdict)


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
    told = {verdict: [pair for pair in pairs if pair.verdict == verdict] for verdict in _SAID}
    lines = [
        f"the paper orders {len(pairs)} pairs of the measured rows by mIoU the same way on all of "
        f"its datasets; over seeds {len(told['as in the paper'])} come out in that order here, "
        f"{len(told['reversed'])} reversed, {len(told['not shown'])} are not shown either way, "
        f"{len(told['not tested'])} are not tested, which takes three seeds of both."
    ]
    lines += [f"{said}: {'; '.join(map(_text, told[verdict]))}." for verdict, said in _SAID.items()
              if told[verdict]]  # fmt: skip
    return lines


def _text(pair: OrderedPair) -> str:
    return f"{pair.better} over {pair.worse} ({100 * pair.difference:+.1f} points)"
