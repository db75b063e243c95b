# SPDX-License-Identifier: Apache-2.0
"""The Fréchet distance of stored features in NumPy, and with groups of images left out.

The numbers of a run come from `spade_eval.metrics`; here the same distance (proved equal by the
tests) is computed again with parts of the images left out. Photo i and image i share a label map:
such pairs leave together, since what a drawn label map does to both sides cancels in part. Of K
images of each label map, (K N, D) draw after draw, all leave with their photo.
"""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spade_eval.metrics.arrays import read_features
from spade_eval.metrics.root_trace import factor_of, root_trace, sum_of_roots
from spade_eval.reports.statistics.jackknife import Floats, LeftOut, groups_of


def load_features(path: Path) -> Floats:
    """Load (N, D) features that a run stored."""
    return read_features(path).astype(np.float64)


def frechet(real: Floats, synthesized: Floats) -> float:
    """Compute the squared Fréchet distance of two sets of features, sample covariances (N - 1).

    Where the images of a side are few, the trace of the root of S_1 S_2 is the nuclear norm of the
    centred cross product: roots of eigenvalues that are 0 but for rounding are not.
    """
    if min(len(real), len(synthesized)) > real.shape[1]:
        return _distance(_Sums(real).all(), _Sums(synthesized).all())
    x, y = _centred(real), _centred(synthesized)
    shift = real.mean(axis=0) - synthesized.mean(axis=0)
    root = float(np.linalg.svd(x @ y.T, compute_uv=False).sum())
    return float(shift @ shift + (x**2).sum() + (y**2).sum() - 2 * root)


def has_full_rank(num_images: int, dim: int) -> bool:
    """Return whether covariances have full rank also with the largest group left out.

    Where they have not (N <= D, about), nothing removes the bias of the distance.
    """
    return num_images - len(groups_of(num_images)[0]) > dim


def left_out_frechet(real: Floats, synthesized: Floats, *, paired: bool) -> LeftOut:
    """Leave out groups of pairs, or of each side in turn; every side `has_full_rank`."""
    if paired:
        return _without_pairs(_Sums(real), _Sums(synthesized))
    # The distance is symmetric.
    sides = [_without_rows(real, synthesized), _without_rows(synthesized, real)]
    return LeftOut(frechet(real, synthesized), np.stack(sides))


def left_out_plainly(real: Floats, synthesized: Floats, *, paired: bool) -> LeftOut:
    """Compute each distance from the start: the specification of `left_out_frechet`."""

    num_draws = len(synthesized) // len(real) if paired else 1

    def rest(rows: Floats, num_draws: int = 1) -> list[Floats]:
        groups = groups_of(len(rows) // num_draws)
        return [np.delete(rows, of_draws(group, len(rows), num_draws), axis=0) for group in groups]

    if paired:
        both = zip(rest(real), rest(synthesized, num_draws), strict=True)
        without = [[frechet(x, y) for x, y in both]]
    else:
        without = [
            [frechet(real, y) for y in rest(synthesized)],
            [frechet(x, synthesized) for x in rest(real)],
        ]
    return LeftOut(frechet(real, synthesized), np.array(without))


def of_draws(group: NDArray[np.int64], num_rows: int, num_draws: int) -> NDArray[np.int64]:
    """Return the rows of a group of label maps in a side of several draws, one after another."""
    starts = np.arange(num_draws) * (num_rows // num_draws)
    rows: NDArray[np.int64] = (starts[:, None] + group).ravel()
    return rows


class _Sums:
    """Sums over all rows, from which those of a group are taken."""

    def __init__(self, rows: Floats) -> None:
        self.mean = rows.mean(axis=0)
        self.rows = rows - self.mean
        self.outer = self.rows.T @ self.rows

    def all(self) -> "_Gaussian":
        """Return those of all rows."""
        return self.mean, self.outer / (len(self.rows) - 1)

    def without(self, group: NDArray[np.int64]) -> "_Gaussian":
        """Return those of the other rows."""
        left, rest = self.rows[group], len(self.rows) - len(group)
        # The sum over all centred rows is zero, so that of the rest is minus the group's.
        mean = -left.sum(axis=0) / rest
        taken = np.concatenate([left, np.sqrt(rest) * mean[None]])
        outer = self.outer - taken.T @ taken
        outer /= rest - 1
        return self.mean + mean, outer


_Gaussian = tuple[Floats, Floats]
"""(D,) mean and (D, D) sample covariance."""


def _distance(one: _Gaussian, other: _Gaussian) -> float:
    shift = one[0] - other[0]
    traces = np.trace(one[1]) + np.trace(other[1])
    return float(shift @ shift + traces - 2 * root_trace(one[1], other[1]))


def _without_pairs(x: _Sums, y: _Sums) -> LeftOut:
    """Leave groups out of both sides: one decomposition of a product a distance."""
    num_draws, distances = len(y.rows) // len(x.rows), []
    for group in groups_of(len(x.rows)):
        made = y.without(of_draws(group, len(y.rows), num_draws))
        distances.append(_distance(x.without(group), made))
    return LeftOut(_distance(x.all(), y.all()), np.array([distances]))


def _without_rows(fixed: Floats, rows: Floats) -> Floats:
    """Compute (G,) distances of a side that stays to one that groups leave: one factor for all."""
    fixed_mean, covariance = _Sums(fixed).all()
    factor = factor_of(covariance)
    turned = _Sums(rows @ factor)  # covariances of these are F_1ᵀ S_2 F_1
    plain, distances = rows - rows.mean(axis=0), []
    squares = (plain**2).sum()
    for group in groups_of(len(rows)):
        rest = len(rows) - len(group)
        mean = -plain[group].sum(axis=0) / rest
        left = squares - (plain[group] ** 2).sum() - rest * (mean @ mean)
        shift = fixed_mean - rows.mean(axis=0) - mean
        root = sum_of_roots(np.linalg.eigvalsh(turned.without(group)[1]))
        traces = (factor**2).sum() + left / (rest - 1)
        distances.append(shift @ shift + traces - 2 * root)
    return np.array(distances)


def _centred(features: Floats) -> Floats:
    centred: Floats = (features - features.mean(axis=0)) / math.sqrt(len(features) - 1)
    return centred
