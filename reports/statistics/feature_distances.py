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
from spade_eval.reports.statistics.jackknife import Floats, LeftOut, groups_of


def load_features(path: Path) -> Floats:
    """Load (N, D) features that a run stored."""
    return read_features(path).astype(np.float64)


def frechet(real: Floats, synthesized: Floats) -> float:
    """Compute the squared Fréchet distance of two sets of features, sample covariances (N - 1)."""
    return _frechet(_factor(real), real.mean(axis=0), synthesized)


def has_full_rank(num_images: int, dim: int) -> bool:
    """Return whether covariances have full rank also with the largest group left out.

    Where they have not (N <= D, about), nothing removes the bias of the distance.
    """
    return num_images - len(groups_of(num_images)[0]) > dim


def left_out_frechet(real: Floats, synthesized: Floats, *, paired: bool) -> LeftOut:
    """Leave out groups of pairs, or of each side in turn; every side `has_full_rank`."""
    value = frechet(real, synthesized)
    if paired:
        return LeftOut(value, _without_pairs(real, synthesized)[None])
    # The distance is symmetric.
    sides = [_without_rows(real, synthesized), _without_rows(synthesized, real)]
    return LeftOut(value, np.stack(sides))


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

    def without(self, group: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Return (D,) mean and (D, D) sample covariance of the other rows."""
        left, rest = self.rows[group], len(self.rows) - len(group)
        # The sum over all centred rows is zero, so that of the rest is minus the group's.
        mean = -left.sum(axis=0) / rest
        outer = self.outer - left.T @ left - rest * np.outer(mean, mean)
        return self.mean + mean, outer / (rest - 1)


def _without_pairs(real: Floats, synthesized: Floats) -> Floats:
    """Compute (G,) distances; both covariances and the factor of one are made anew each time."""
    x, y = _Sums(real), _Sums(synthesized)
    num_draws, distances = len(synthesized) // len(real), []
    for group in groups_of(len(real)):
        mean, covariance = x.without(group)
        other_mean, other = y.without(of_draws(group, len(synthesized), num_draws))
        shift = mean - other_mean
        traces = np.trace(covariance) + np.trace(other)
        distances.append(shift @ shift + traces - 2 * _root_trace(covariance, other))
    return np.array(distances)


def _without_rows(fixed: Floats, rows: Floats) -> Floats:
    """Compute (G,) distances of a side that stays to one that groups leave: one factor for all."""
    factor, fixed_mean = _factor(fixed), fixed.mean(axis=0)
    turned = _Sums(rows @ factor)  # covariances of these are F_1ᵀ S_2 F_1
    plain, distances = rows - rows.mean(axis=0), []
    squares = (plain**2).sum()
    for group in groups_of(len(rows)):
        rest = len(rows) - len(group)
        mean = -plain[group].sum(axis=0) / rest
        left = squares - (plain[group] ** 2).sum() - rest * (mean @ mean)
        shift = fixed_mean - rows.mean(axis=0) - mean
        root = _sum_of_roots(turned.without(group)[1])
        traces = (factor**2).sum() + left / (rest - 1)
        distances.append(shift @ shift + traces - 2 * root)
    return np.array(distances)


def _root_trace(covariance: Floats, other: Floats) -> float:
    """Trace of the root of the product, from a factor of the first."""
    try:
        factor = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:  # a feature that never varies
        factor = scaled_eigenvectors(covariance)
    return _sum_of_roots(factor.T @ other @ factor)


def _sum_of_roots(matrix: Floats) -> float:
    return float(np.sqrt(np.clip(np.linalg.eigvalsh(matrix), 0, None)).sum())


def _frechet(factor: Floats, mean: Floats, synthesized: Floats) -> float:
    """Distance to a set with that mean and a covariance F Fᵀ, (D, K) F.

    The trace of the root of the product S_1 S_2 is the sum of the singular values of F_1ᵀ F_2, or
    of the roots of the eigenvalues of F_1ᵀ S_2 F_1; the first where the images of a side are few,
    since roots of eigenvalues that are 0 but for rounding are not.
    """
    shift = mean - synthesized.mean(axis=0)
    centred = _centred(synthesized)
    if min(factor.shape[1], len(centred) - 1) < centred.shape[1]:
        root = float(np.linalg.svd(factor.T @ centred.T, compute_uv=False).sum())
    else:
        root = _sum_of_roots(factor.T @ (centred.T @ centred) @ factor)
    return float(shift @ shift + (factor**2).sum() + (centred**2).sum() - 2 * root)


def _factor(features: Floats) -> Floats:
    """(D, K) F with F Fᵀ the sample covariance, K the smaller of N and D."""
    centred = _centred(features)
    if len(features) <= features.shape[1]:
        return centred.T
    return scaled_eigenvectors(centred.T @ centred)


def scaled_eigenvectors(covariance: Floats) -> Floats:
    """Return (D, D) F with F Fᵀ the covariance, of any rank."""
    values, vectors = np.linalg.eigh(covariance)
    roots: Floats = vectors * np.sqrt(np.clip(values, 0, None))
    return roots


def _centred(features: Floats) -> Floats:
    centred: Floats = (features - features.mean(axis=0)) / math.sqrt(len(features) - 1)
    return centred
