# SPDX-License-Identifier: Apache-2.0
"""The smallest difference is found in 80% of the draws, and a comparison states it."""

import math

import numpy as np
import pytest

from spade_eval.reports.statistics.power import images_needed, smallest_difference


def test_it_is_2_802_standard_errors() -> None:
    assert smallest_difference(1.0) == pytest.approx(2.802, abs=5e-4)
    # The audit's pair: 0.509 points of error at 500 images, 0.48 observed.
    assert smallest_difference(0.509) == pytest.approx(1.43, abs=5e-3)
    assert images_needed(0.48, 0.509, 500) == pytest.approx(4400, rel=0.01)


def test_it_is_found_in_8_of_10_draws_and_so_is_the_difference_at_the_images_needed() -> None:
    numbers = np.random.default_rng(0)
    for tests, quantile in ((1, 1.959964), (4, 2.497705)):
        shift = smallest_difference(1.0, tests)
        share = (np.abs(numbers.normal(shift, 1, 20_000)) > quantile).mean()
        assert share == pytest.approx(0.8, abs=0.01)  # known to 0.3 points
    needed = images_needed(0.2, 1.0, 100)
    # The error falls with the root of N, so the difference is that many errors.
    assert 0.2 / (1.0 * math.sqrt(100 / needed)) == pytest.approx(2.802, abs=1e-3)


def test_nothing_shows_no_difference() -> None:
    assert images_needed(0.0, 1.0, 100) == math.inf
    assert math.isnan(images_needed(0.1, math.nan, 100))
