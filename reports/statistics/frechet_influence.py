# SPDX-License-Identifier: Apache-2.0
"""What each image does to a Fréchet distance, and its bias, in closed form.

To second order in the errors of means and covariances, in coordinates where both covariances are
diag(r), r being the roots of the eigenvalues of S_1 S_2 (docs/statistics.md, sections 2 and 3):

    FD^ = FD + mean influence + |dm_1 - dm_2|² + 1/2 sum_ij (a_ij - b_ij)² / (r_i + r_j)

One eigendecomposition and no resampling: the fast path, and the test of the jackknife, which is
its test. The bias is short of the jackknife's where N is only a few D, since sample eigenvalues
spread too far.
"""

import contextlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spade_eval.reports.statistics.jackknife import Floats

# Of the largest eigenvalue: directions in which a side has no variance but that of rounding.
_RANK = 1e-12


@dataclass(frozen=True)
class _Common:
    """Centred features, and in the coordinates in which both covariances are diag(r)."""

    x: Floats  # (N, D)
    y: Floats  # (M, D)
    x_common: Floats  # (N, K)
    y_common: Floats  # (M, K)
    roots: Floats  # (K,) r


@dataclass(frozen=True)
class FrechetExpansion:
    """A distance, the influence of each image of either side, and the bias to second order."""

    value: float
    real: Floats  # (N,), of mean 0
    synthesized: Floats  # (M,), of mean 0
    paired: bool
    common: _Common

    @cached_property
    def bias(self) -> float:
        """To second order; it takes three more products, which an influence has no use for."""
        return (_paired_bias if self.paired else _independent_bias)(self.common)

    @property
    def influence(self) -> Floats:
        """(N,) influence values of pairs; two methods on the same label maps are subtracted."""
        assert self.paired, "independent sides have no pairs"
        return self.real + self.synthesized

    @property
    def standard_error(self) -> float:
        """Of the distance, over new label maps with their photos and images."""
        if self.paired:
            return standard_error_of(self.influence)
        sides = (standard_error_of(self.real), standard_error_of(self.synthesized))
        return float(np.hypot(*sides))


def standard_error_of(influence: Floats) -> float:
    """Return that of an estimate whose (N,) influence values are given."""
    return float(influence.std(ddof=1) / np.sqrt(len(influence)))


def expand_frechet(real: Floats, synthesized: Floats, *, paired: bool) -> FrechetExpansion:
    """Expand the distance of (N, D) and (M, D) features, N, M > D; pairs are rows of one index."""
    x, y = real - real.mean(axis=0), synthesized - synthesized.mean(axis=0)
    shift = real.mean(axis=0) - synthesized.mean(axis=0)
    common = _common_coordinates(x, y)
    traces = [(side**2).sum() / (len(side) - 1) for side in (x, y)]
    # xᵀ T x = |x~|² and yᵀ T⁻¹ y = |y~|² with T the optimal map.
    phi = 2 * x @ shift + (x**2).sum(axis=1) - (common.x_common**2).sum(axis=1)
    psi = -2 * y @ shift + (y**2).sum(axis=1) - (common.y_common**2).sum(axis=1)
    return FrechetExpansion(
        value=float(shift @ shift + sum(traces) - 2 * common.roots.sum()),
        real=phi - phi.mean(),
        synthesized=psi - psi.mean(),
        paired=paired,
        common=common,
    )


def influence_of_maps(real: Floats, synthesized: Floats) -> Floats:
    """Return the (N,) influence of each label map: of its photo and, on average, of its images.

    `synthesized` is (N, D), or (K N, D) where there are K draws, one after another. Pooled images
    weigh 1 / (K N) each, so that a label map weighs 1 / N with the mean of its K images.
    """
    found = expand_frechet(real, synthesized, paired=len(real) == len(synthesized))
    influence: Floats = found.real + found.synthesized.reshape(-1, len(real)).mean(axis=0)
    return influence


def _common_coordinates(x: Floats, y: Floats) -> _Common:
    """Turn centred rows; directions in which a side has no variance are left out."""
    covariance, other = x.T @ x / (len(x) - 1), y.T @ y / (len(y) - 1)
    squares, inverse, forward = _decomposed(covariance, other)
    known = squares > max(_RANK * squares.max(initial=0.0), 0.0)
    roots = np.sqrt(squares[known])
    return _Common(
        x, y, x @ (inverse[:, known] * np.sqrt(roots)), y @ (forward[:, known] / np.sqrt(roots)),
        roots,
    )  # fmt: skip


def _decomposed(covariance: Floats, other: Floats) -> tuple[Floats, Floats, Floats]:
    """(K,) r² and (D, K) F⁻ᵀ U and F U, with S_1 = F Fᵀ and Fᵀ S_2 F = U diag(r²) Uᵀ."""
    import scipy.linalg

    with contextlib.suppress(np.linalg.LinAlgError):
        # F of Cholesky; Z = F⁻ᵀ U has Zᵀ S_1 Z = 1, so that S_1 Z = F U.
        squares, z = scipy.linalg.eigh(other.T, covariance.T, type=2, check_finite=False)
        # 1 / |z|² is a variance of S_1.
        if np.diagonal(covariance).max() * (z**2).sum(axis=0).max() < 1 / _RANK:
            return squares, z, covariance @ z
    return _decomposed_at_any_rank(covariance, other)


def _decomposed_at_any_rank(covariance: Floats, other: Floats) -> tuple[Floats, Floats, Floats]:
    """The same by the eigenvectors of S_1 that have a variance: its specification."""
    values, vectors = np.linalg.eigh(covariance)
    known = values > _RANK * values.max()
    widths, vectors = np.sqrt(values[known]), vectors[:, known]
    factor = vectors * widths
    squares, turn = np.linalg.eigh(factor.T @ other @ factor)
    return squares, vectors / widths @ turn, factor @ turn


def _paired_bias(of: _Common) -> float:
    """(1/N) { mean |x - y|² + 1/2 mean (u'Ku + v'Kv - 2 w'Kw) }: u = x~², v = y~², w = x~ y~."""
    u, v, w = of.x_common**2, of.y_common**2, of.x_common * of.y_common
    quadratic = _form(u, of.roots) + _form(v, of.roots) - 2 * _form(w, of.roots)
    return float((((of.x - of.y) ** 2).sum() / (len(u) - 1) + quadratic / 2) / len(u))


def _independent_bias(of: _Common) -> float:
    """T_1/N + T_2/M + 1/2 [(mean u'Ku - sum r/2)/N + (mean v'Kv - sum r/2)/M]."""
    bias = 0.0
    for side, common in ((of.x, of.x_common), (of.y, of.y_common)):
        trace = (side**2).sum() / (len(side) - 1)
        bias += (trace + (_form(common**2, of.roots) - of.roots.sum() / 2) / 2) / len(side)
    return float(bias)


def _form(rows: Floats, roots: Floats) -> float:
    """Mean over rows of sum_ij row_i row_j / (r_i + r_j)."""
    return float(((rows.T @ rows) / (roots[:, None] + roots)).sum() / len(rows))
