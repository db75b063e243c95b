# SPDX-License-Identifier: Apache-2.0
"""How the rows of a column stand: who is shown to be better than whom, and who is not.

All pairs of competing rows are tested, and the p-values of a column adjusted by Holm, so that with
95% none of its verdicts is false. A row is marked where no other is shown to be better: the best
number is among them, and so is every row that cannot be told from it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from spade_eval.reports.statistics.multiplicity import HOLM, holm
from spade_eval.reports.statistics.power import ERROR

Test = Callable[[str, str], tuple[float, float]]
"""Returns the difference of two rows by title, the first minus the second, and its p-value."""
_MOST_NAMED = 6  # pairs


@dataclass(frozen=True)
class Standing:
    """One column: rows from best to worst, and the pairs (better, worse) that are shown."""

    titles: tuple[str, ...]
    shown: frozenset[tuple[str, str]]
    num_pairs: int  # that were tested

    @property
    def marked(self) -> frozenset[str]:
        """The rows that no other is shown to be better than; none where nothing was tested."""
        worse = {loser for _, loser in self.shown}
        return frozenset(title for title in self.titles if title not in worse)

    @property
    def open_pairs(self) -> list[tuple[str, str]]:
        """The pairs of which neither is shown to be better."""
        return [
            (one, other)
            for one, other in combinations(self.titles, 2)
            if (one, other) not in self.shown and (other, one) not in self.shown
        ]


NOTHING_TESTED = Standing((), frozenset(), 0)


def standing_of(values: Mapping[str, float], larger_is_better: bool, test: Test) -> Standing:
    """Test all pairs of rows with a value; `NOTHING_TESTED` where some pair cannot be."""
    known = {title: value for title, value in values.items() if not math.isnan(value)}
    titles = sorted(known, key=lambda title: known[title], reverse=larger_is_better)
    pairs = list(combinations(titles, 2))
    results = [test(one, other) for one, other in pairs]
    if not pairs or any(math.isnan(p_value) for _, p_value in results):
        return NOTHING_TESTED
    adjusted = holm([p_value for _, p_value in results])
    shown = set()
    for (one, other), (difference, _), p_value in zip(pairs, results, adjusted, strict=True):
        if p_value <= ERROR and difference:
            # By the tested difference, without bias, not by the printed order.
            shown.add((one, other) if (difference > 0) == larger_is_better else (other, one))
    return Standing(tuple(titles), frozenset(shown), len(pairs))


def sentence_of(standings: Mapping[str, Standing], what: str) -> str:
    """Say in a sentence which pairs are shown and which are not; `what` says of whom it is true.

    `standings` are by label of the column; "" where there is no pair.
    """
    clauses = [
        f"{label}: {_clause(standing)}"
        for label, standing in standings.items()
        if standing.num_pairs
    ]
    if not clauses:
        return ""
    return f"Shown at 5% {what}, all pairs of a column together ({HOLM}): {'. '.join(clauses)}."


def _clause(standing: Standing) -> str:
    """'a above b, c; not shown: b and c', or how many pairs where they are many."""
    beaten = {
        title: [other for other in standing.titles if (title, other) in standing.shown]
        for title in standing.titles
    }
    parts = [f"{title} above {_listed(others)}" for title, others in beaten.items() if others]
    if len(standing.shown) > _MOST_NAMED:
        parts = [f"{len(standing.shown)} of {standing.num_pairs} pairs"]
    unknown = [f"{one} and {other}" for one, other in standing.open_pairs]
    if len(unknown) > _MOST_NAMED:
        unknown = [*unknown[: _MOST_NAMED - 1], f"{len(unknown) - _MOST_NAMED + 1} more"]
    said = [
        ", ".join(parts) or "nothing",
        *([f"not shown: {', '.join(unknown)}"] if unknown else []),
    ]
    return "; ".join(said)


def _listed(titles: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(titles[:-1]), titles[-1]]))
