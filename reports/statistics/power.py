# SPDX-License-Identifier: Apache-2.0
"""What can be shown: the smallest difference, and the images or seeds that another would need.

A difference is detectable where it is shown with a chance of 80% by a test of two sides at 5%:
(1.960 + 0.842) standard errors for images (docs/statistics.md, section 10). Seeds are few, so
theirs is of Student's non-central t, and the level falls from look to look (`seed_tests.py`).
"""

import math
from statistics import NormalDist

from spade_eval.reports.statistics.seed_tests import level_at, t_quantile

ERROR, POWER = 0.05, 0.8


def smallest_difference(standard_error: float, num_tests: int = 1) -> float:
    """Return (z_{1 - 0.025/m} + z_{0.8}) SE: 2.802 SE for one test."""
    return _quantiles(num_tests) * standard_error


def images_needed(
    difference: float, standard_error: float, num_images: int, num_tests: int = 1
) -> float:
    """Return N (2.802 SE / D)²: images at which `difference` would be detectable; inf for 0."""
    if difference == 0:
        return math.inf
    ratio = smallest_difference(standard_error, num_tests) / difference
    return math.nan if math.isnan(ratio) else math.ceil(num_images * ratio**2)


def smallest_between_seeds(deviation: float, num_seeds: int, num_tests: int = 1) -> float:
    """Return d sd / sqrt(S), sd of paired differences; inf below three seeds.

    Student's t of S - 1 degrees, shifted by d, exceeds its quantile with a chance of 80%.
    """
    from scipy.special import nctdtrinc

    if level_at(num_seeds) == 0:
        return math.inf
    edge = t_quantile(1 - level_at(num_seeds) / (2 * num_tests), num_seeds - 1)
    shift = float(nctdtrinc(num_seeds - 1, 1 - POWER, edge))
    return shift * deviation / math.sqrt(num_seeds)


def _quantiles(num_tests: int) -> float:
    normal = NormalDist()
    return normal.inv_cdf(1 - ERROR / (2 * num_tests)) + normal.inv_cdf(POWER)
