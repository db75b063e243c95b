# SPDX-License-Identifier: Apache-2.0
"""Fréchet and kernel distances of stored features in NumPy, and how sure their differences are.

The numbers of a run come from `spade_eval.metrics`; here the same distances (proved equal by the
tests) are computed again with parts of the images left out. The jackknife over groups (Quenouille,
1956; Tukey, 1958) takes G groups of images, leaves out one after another, and has the standard
error sqrt((G - 1) / G * sum (d_g - mean d)²). A bootstrap would draw images twice, which lowers the
rank of the covariance and moves FID by more than methods differ; leaving images out does not.
The photos stay as they are: the interval says how far a distance would move with other label maps
synthesized. Two methods leave out the same images.
"""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spade_eval.metrics.arrays import read_features

Floats = NDArray[np.float64]
NUM_GROUPS = 20
# Student's t with 19 degrees of freedom, 97.5%: for the 20 groups above.
_T_QUANTILE = 2.093024


def load_features(path: Path) -> Floats:
    """Load (N, D) features that a run stored."""
    return read_features(path).astype(np.float64)


def frechet(real: Floats, synthesized: Floats) -> float:
    """Compute the squared Fréchet distance of two sets of features, sample covariances (N - 1)."""
    return _frechet(_factor(real), real.mean(axis=0), synthesized)


def groups_of(num_images: int, num_groups: int = NUM_GROUPS) -> list[NDArray[np.int64]]:
    """Return the images of each group: every 20th, so that each group spans the split."""
    return [np.arange(start, num_images, num_groups) for start in range(num_groups)]


def left_out_frechet(real: Floats, synthesized: Floats) -> Floats:
    """Compute (G,) distances with one group of synthesized images left out at a time."""
    groups = groups_of(len(synthesized))
    if len(synthesized) - max(map(len, groups)) <= synthesized.shape[1]:
        return left_out_plainly(real, synthesized)
    return _left_out_by_subtraction(real, synthesized, groups)


def left_out_plainly(real: Floats, synthesized: Floats) -> Floats:
    """Compute each distance from the start: the specification, and the form for few images."""
    factor, mean = _factor(real), real.mean(axis=0)
    rest = (np.delete(synthesized, group, axis=0) for group in groups_of(len(synthesized)))
    return np.array([_frechet(factor, mean, rows) for rows in rest])


def _left_out_by_subtraction(
    real: Floats, synthesized: Floats, groups: list[NDArray[np.int64]]
) -> Floats:
    """Sums over all images once, and of each group taken from them; one eigenproblem a group."""
    centred = synthesized - synthesized.mean(axis=0)
    turned = centred @ _factor(real)  # (N, K): covariance of these is F_1ᵀ S_2 F_1
    outer, squares = turned.T @ turned, (centred**2).sum()
    trace = np.trace(np.cov(real, rowvar=False))
    distances = []
    for group in groups:
        rest = len(centred) - len(group)
        # The sum over all centred images is zero, so that of the rest is minus the group's.
        mean, turned_mean = -centred[group].sum(axis=0) / rest, -turned[group].sum(axis=0) / rest
        product = (
            outer - turned[group].T @ turned[group] - rest * np.outer(turned_mean, turned_mean)
        )
        left = squares - (centred[group] ** 2).sum() - rest * (mean @ mean)
        values = np.linalg.eigvalsh(product / (rest - 1))
        shift = real.mean(axis=0) - synthesized.mean(axis=0) - mean
        root = np.sqrt(np.clip(values, 0, None)).sum()
        distances.append(shift @ shift + trace + left / (rest - 1) - 2 * root)
    return np.array(distances)


def left_out_kernel(real: Floats, synthesized: Floats) -> Floats:
    """Compute the same for the kernel distance, from row sums of one kernel matrix."""
    within, across = _cubic(synthesized, synthesized), _cubic(real, synthesized)
    np.fill_diagonal(within, 0.0)
    constant, distances = _mean_off_diagonal(_cubic(real, real)), []
    for group in groups_of(len(synthesized)):
        rest = len(synthesized) - len(group)
        inside = within[np.ix_(group, group)].sum()
        pairs = within.sum() - 2 * within[group].sum() + inside
        crossed = across.sum() - across[:, group].sum()
        distances.append(constant + pairs / (rest * (rest - 1)) - 2 * crossed / (rest * len(real)))
    return np.array(distances)


def standard_error(left_out: Floats) -> float:
    """Compute it for the estimate whose values with one group left out are given."""
    count = len(left_out)
    deviations = left_out - left_out.mean()
    return float(np.sqrt((count - 1) / count * (deviations**2).sum()))


def jackknife_interval(estimate: float, left_out: Floats) -> tuple[float, float]:
    """Return 95% of an estimate, by Student's t with one degree of freedom less than groups."""
    assert len(left_out) == NUM_GROUPS
    half = _T_QUANTILE * standard_error(left_out)
    return estimate - half, estimate + half


def _frechet(factor: Floats, mean: Floats, synthesized: Floats) -> float:
    """Distance to a set with that mean and a covariance F Fᵀ, (D, K) F.

    The trace of the root of the product S_1 S_2 is the sum of the singular values of F_1ᵀ F_2, or
    of the roots of the eigenvalues of F_1ᵀ S_2 F_1; the first where the images are few.
    """
    shift = mean - synthesized.mean(axis=0)
    centred = _centred(synthesized)
    if len(centred) <= centred.shape[1]:
        root = np.linalg.svd(factor.T @ centred.T, compute_uv=False).sum()
    else:
        product = factor.T @ (centred.T @ centred) @ factor
        root = np.sqrt(np.clip(np.linalg.eigvalsh(product), 0, None)).sum()
    return float(shift @ shift + (factor**2).sum() + (centred**2).sum() - 2 * root)


def _factor(features: Floats) -> Floats:
    """(D, K) F with F Fᵀ the sample covariance, K the smaller of N and D."""
    centred = _centred(features)
    if len(features) <= features.shape[1]:
        return centred.T
    values, vectors = np.linalg.eigh(centred.T @ centred)
    roots: Floats = vectors * np.sqrt(np.clip(values, 0, None))
    return roots


def _centred(features: Floats) -> Floats:
    centred: Floats = (features - features.mean(axis=0)) / math.sqrt(len(features) - 1)
    return centred


def _cubic(x: Floats, y: Floats) -> Floats:
    cubed: Floats = (x @ y.T / x.shape[1] + 1) ** 3
    return cubed


def _mean_off_diagonal(matrix: Floats) -> float:
    count = len(matrix)
    return float((matrix.sum() - np.trace(matrix)) / (count * (count - 1)))
