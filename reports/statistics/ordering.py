# SPDX-License-Identifier: Apache-2.0
"""Whether measured rows come out in the order in which the paper has them.

Two rows are ordered by the paper where one is ahead of the other on every one of its datasets. Of
these pairs, which are known before anything is trained, each is tested over seeds, paired, and all
of a dataset are held together by Holm: with 95% none of the verdicts is false (docs/statistics.md,
sections 11 and 12). Rows that are not trained three times are not tested, so nothing is concluded
from them.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pandas as pd

from spade_eval.reports.measured.grouping import REFERENCE_KINDS
from spade_eval.reports.statistics.multiplicity import HOLM, holm
from spade_eval.reports.statistics.over_seeds import aligned
from spade_eval.reports.statistics.power import ERROR, smallest_between_seeds
from spade_eval.reports.statistics.seed_tests import paired_deviation, seed_interval, seed_p_value

_METRIC = "miou"
Verdict = Literal["confirmed", "contradicted", "undecided", "not tested"]
_SAID: dict[Verdict, str] = {
    "confirmed": "confirmed",
    "contradicted": "contradicted (first is ahead in the paper)",
    "undecided": "undecided (first is ahead in the paper)",
    "not tested": "not tested (first is ahead in the paper)",
}


@dataclass(frozen=True)
class OrderedPair:
    """Two rows of a table: `better` is ahead in the paper."""

    better: str
    worse: str
    difference: float  # measured, in fractions; negative where the order is reversed
    interval: tuple[float, float]  # of it over seeds, 95%, by itself; NaN below two seeds
    smallest: float  # difference that so many seeds would show with a chance of 80%
    verdict: Verdict

    @property
    def is_decided(self) -> bool:
        """Whether the seeds say which row is ahead."""
        return self.verdict in ("confirmed", "contradicted")


def ordered_pairs(
    measured: pd.DataFrame, published: pd.DataFrame, metric: str = _METRIC
) -> list[OrderedPair]:
    """Return pairs of one dataset's rows (`paper_table`) that the paper's own table orders.

    Rows are compared within their group, as the table is grouped, and never with themselves: where
    two lines are the same model there is nothing to order.
    """
    rows = measured[~measured["kind"].isin(REFERENCE_KINDS)]
    pairs = list(_orders(rows[rows[metric].notna()], published, metric))
    found = []
    for ahead, behind in pairs:
        of = measured.attrs["results"][ahead["dataset"], ahead["group"]][metric].values
        found.append((of.get(ahead["row"], {}), of.get(behind["row"], {}), ahead, behind))
    return _tested(found, metric)


def num_ordered(published: pd.DataFrame, metric: str = _METRIC) -> int:
    """Return how many pairs of rows of a paper's own table (`paper_table`) it orders."""
    rows = published.drop_duplicates(["group", "row"])
    return len(list(_orders(rows, published, metric)))


def _orders(rows: pd.DataFrame, published: pd.DataFrame, metric: str) -> Iterator[tuple[Any, Any]]:
    """Yield the pairs of rows of a group that the paper orders, the one ahead first."""
    models = rows[rows["model"].notna()].to_dict("records")
    for one, other in combinations(models, 2):
        if one["group"] != other["group"] or one["model"] == other["model"]:
            continue
        sign = _published_order(published, one["row"], other["row"], metric)
        if sign:
            yield (one, other) if sign > 0 else (other, one)


_Pair = tuple[Mapping[int | None, float], Mapping[int | None, float], Mapping[Any, Any],
              Mapping[Any, Any]]  # fmt: skip


def _tested(pairs: Sequence[_Pair], metric: str) -> list[OrderedPair]:
    """Test every pair over seeds, all of them held together."""
    both = [aligned(mine, other) for mine, other, _, _ in pairs]
    p_values = [seed_p_value(mine, other) for mine, other in both]
    num_tests = sum(not math.isnan(p_value) for p_value in p_values)
    adjusted = holm(p_values)
    found = []
    for (_, _, ahead, behind), (mine, other), p_value in zip(pairs, both, adjusted, strict=True):
        paired = mine - other
        count = int((~np.isnan(paired)).sum())
        # Of the common seeds, as the test; of rows without one, what the table shows.
        difference = float(np.nanmean(paired)) if count else ahead[metric] - behind[metric]
        deviation = paired_deviation(mine, other)
        found.append(
            OrderedPair(
                ahead["row"], behind["row"], difference, seed_interval(paired),
                smallest_between_seeds(deviation, count, max(num_tests, 1)),
                _verdict(difference, p_value),
            )
        )  # fmt: skip
    return found


def _verdict(difference: float, p_value: float) -> Verdict:
    if math.isnan(p_value):
        return "not tested"
    if p_value > ERROR or not difference:
        return "undecided"
    return "confirmed" if difference > 0 else "contradicted"


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
        f"its datasets; over seeds, all of them together at 5% ({HOLM}), "
        f"{len(told['confirmed'])} are confirmed here, {len(told['contradicted'])} contradicted, "
        f"{len(told['undecided'])} undecided, {len(told['not tested'])} not tested, which takes "
        "three seeds of both."
    ]
    lines += [f"{said}: {'; '.join(map(_text, told[verdict]))}." for verdict, said in _SAID.items()
              if told[verdict]]  # fmt: skip
    return lines


def _text(pair: OrderedPair) -> str:
    low, high = (100 * end for end in pair.interval)
    facts = [f"{100 * pair.difference:+.1f} points"]
    if not math.isnan(low):
        facts.append(f"95% [{low:+.1f}, {high:+.1f}]")
    if pair.verdict == "undecided":
        facts.append(f"detectable {100 * pair.smallest:.1f}")
    return f"{pair.better} over {pair.worse} ({', '.join(facts)})"
