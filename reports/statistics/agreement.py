# SPDX-License-Identifier: Apache-2.0
"""Agreement between people: Krippendorff's alpha for names (nominal values).

Of unit u (a question) n_uc people said c, and m_u = sum_c n_uc said anything. With units of two
answers and more alone, n_c = sum_u n_uc and n = sum_c n_c,

    D_o = 1/n sum_u sum_{c != k} n_uc n_uk / (m_u - 1)                                        (6)
    D_e = 1/(n (n - 1)) sum_{c != k} n_c n_k                                                  (7)
    alpha = 1 - D_o / D_e                                                                     (8)

1 is perfect agreement, 0 what chance gives. Source: Krippendorff, "Computing Krippendorff's
Alpha-Reliability" (2011).
"""

import numpy as np

from spade_eval.reports.statistics.bootstrap import Floats, interval


def krippendorff_alpha(counts: Floats) -> float:
    """Return (8) of `counts` (units, values), n_uc; NaN where all say the same or none can agree.

    Where all answers have one value, chance agrees as well as people do and (8) is 0/0.
    """
    return float(resampled_alpha(counts, np.ones((1, len(counts))))[0])


def resampled_alpha(counts: Floats, times: Floats) -> Floats:
    """Return (8) for each resample; `times` (R, units) is how often each unit was drawn."""
    answers = counts.sum(axis=1)
    paired = counts * (answers >= 2)[:, None]
    m = paired.sum(axis=1)
    mixed = m**2 - (paired**2).sum(axis=1)  # sum_{c != k} n_uc n_uk
    disagreement = times @ (mixed / np.maximum(m - 1, 1))
    by_value = times @ paired
    n = by_value.sum(axis=1)
    expected = n**2 - (by_value**2).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        alpha: Floats = 1 - (n - 1) * disagreement / expected
    return np.where(expected > 0, alpha, np.nan)


def alpha_with_interval(counts: Floats, times: Floats) -> tuple[float, float, float]:
    """Return alpha and percentiles over units drawn anew; NaN where it is not defined."""
    low, high = interval(resampled_alpha(counts, times))
    return krippendorff_alpha(counts), float(low), float(high)
