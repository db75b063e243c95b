# SPDX-License-Identifier: Apache-2.0
"""The jackknife over groups of images: bias, standard error, interval (docs/statistics.md).

G groups are left out one after another (Quenouille, 1956, for the bias; Tukey, 1958, for the
variance). A bootstrap would draw images twice, which lowers the rank of a covariance and moves a
Fréchet distance by more than methods differ; leaving images out does not.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
NUM_GROUPS = 20
# Two images a group at least: with fewer a group says nothing about its kind.
FEWEST_IMAGES = 2 * NUM_GROUPS
# Student's t with 19 degrees of freedom, 97.5%: for the 20 groups above.
T_QUANTILE = 2.093024


def groups_of(num_images: int, num_groups: int = NUM_GROUPS) -> list[NDArray[np.int64]]:
    """Return the images of each group: every 20th, so that each group spans the split."""
    return [np.arange(start, num_images, num_groups) for start in range(num_groups)]


@dataclass(frozen=True)
class LeftOut:
    """An estimate of all images, and with one group of images left out at a time."""

    value: float
    # (S, G): one line where a group leaves both sides in pairs; a line for each side that groups
    # leave alone where the sides are independent, so that biases and variances add up.
    without: Floats

    @property
    def bias(self) -> float:
        """The part of `value` that shrinks like 1 / N (Quenouille)."""
        num_groups = self.without.shape[1]
        return float((num_groups - 1) * (self.without.mean(axis=1) - self.value).sum())

    @property
    def standard_error(self) -> float:
        """Tukey's, sqrt((G - 1) / G * sum (d_g - mean d)²), over all sides."""
        num_groups = self.without.shape[1]
        deviations = self.without - self.without.mean(axis=1, keepdims=True)
        return float(np.sqrt((num_groups - 1) / num_groups * (deviations**2).sum()))


def distance_interval(distance: float, half_width: float) -> tuple[float, float]:
    """Return the ends about a distance; none is below 0, since no distance of populations is."""
    return max(distance - half_width, 0.0), max(distance + half_width, 0.0)
