# SPDX-License-Identifier: Apache-2.0
"""Several tests at once: p-values that may each be compared with 5%.

Holm's hold the chance of *any* false verdict at 5%, for pairs of rows, where each verdict is read
by itself. Those of Benjamini and Hochberg hold the *share* of false ones among the verdicts at 5%,
for classes, which are many and read as a list.
"""

from collections.abc import Callable, Sequence

import numpy as np

from spade_eval.reports.statistics.jackknife import Floats

Adjust = Callable[[Floats], Floats]
HOLM, BENJAMINI_HOCHBERG = "Holm", "Benjamini-Hochberg"


def holm(p_values: Sequence[float]) -> Floats:
    """Return max over j <= i of (m - j + 1) p_(j), at most 1 (Holm, 1979); NaN stays NaN."""

    def adjusted(ordered: Floats) -> Floats:
        factors = np.arange(len(ordered), 0, -1)
        return np.maximum.accumulate(factors * ordered)

    return _in_order(p_values, adjusted)


def benjamini_hochberg(p_values: Sequence[float]) -> Floats:
    """Return min over j >= i of m p_(j) / j, at most 1 (Benjamini and Hochberg, 1995)."""

    def adjusted(ordered: Floats) -> Floats:
        scaled = len(ordered) * ordered / np.arange(1, len(ordered) + 1)
        return np.minimum.accumulate(scaled[::-1])[::-1]

    return _in_order(p_values, adjusted)


def _in_order(p_values: Sequence[float], adjust: Adjust) -> Floats:
    """Adjust the sorted p-values that are numbers, and put each back in its place."""
    given = np.asarray(p_values, dtype=np.float64)
    found = np.full(given.shape, np.nan)
    known = np.flatnonzero(~np.isnan(given))
    order = known[np.argsort(given[known], kind="stable")]
    if len(order):
        found[order] = np.minimum(adjust(given[order]), 1.0)
    return found
