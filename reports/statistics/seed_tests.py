# SPDX-License-Identifier: Apache-2.0
"""What several trainings tell of a method: intervals over seeds, and differences paired by seed.

Seeds are blocks: two methods are compared seed by seed (Student, 1908). Anybody may add a seed
after looking at the table, and `--seeds auto` does, so at S seeds the level is
0.05 / ((S - 1)(S - 2)): these sum to 0.05 over all S from 3 on, so the chance of a false verdict at
*any* look is at most 5% (union bound; derived here). Two seeds have a spread, and a verdict begins
with the third.
"""

import math
from collections.abc import Sequence

import numpy as np

from spade_eval.reports.statistics.jackknife import Floats

Values = Sequence[float] | Floats
_ERROR = 0.05
FIRST_VERDICT = 3  # seeds


def level_at(num_seeds: int) -> float:
    """Return the part of 5% that is spent at so many seeds; the parts sum to 5%."""
    if num_seeds < FIRST_VERDICT:
        return 0.0
    return _ERROR / ((num_seeds - 1) * (num_seeds - 2))


def seed_interval(values: Values) -> tuple[float, float]:
    """Return the 95% interval of the mean over seeds, mean ± t_(S-1) sd / sqrt(S); NaN for one."""
    known = _known(values)
    if len(known) < 2:
        return math.nan, math.nan
    half = t_quantile(0.975, len(known) - 1) * known.std(ddof=1) / math.sqrt(len(known))
    return float(known.mean() - half), float(known.mean() + half)


def paired_deviation(mine: Values, other: Values) -> float:
    """Return the sample standard deviation of differences of the same seeds; NaN below two."""
    differences = _known(np.subtract(mine, other))
    return float(differences.std(ddof=1)) if len(differences) > 1 else math.nan


def seed_p_value(mine: Values, other: Values) -> float:
    """Return the p-value of two methods on the same seeds that may be compared with 5% at any S.

    That is Student's, paired, over the share of 5% that S has; NaN below three seeds.
    """
    differences = _known(np.subtract(mine, other))
    count = len(differences)
    if count < FIRST_VERDICT:
        return math.nan
    error = differences.std(ddof=1) / math.sqrt(count)
    if error == 0:
        return 0.0 if differences.mean() else 1.0
    p_value = two_sided_p(float(differences.mean() / error), count - 1)
    return min(1.0, p_value * _ERROR / level_at(count))


def two_sided_p(statistic: float, degrees: float) -> float:
    """Return Student's two-sided p-value; normal where `degrees` is infinite."""
    from scipy.special import stdtr

    return float(2 * stdtr(min(degrees, 1e9), -abs(statistic)))


def t_quantile(share: float, degrees: int) -> float:
    """Return Student's quantile."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, share))


def _known(values: Values) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    return array[~np.isnan(array)]
