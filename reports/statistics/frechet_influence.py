# SPDX-License-Identifier: Apache-2.0
"""What each image does to a Fréchet distance, and its bias, in closed form.

To second order in the errors of means and covariances, in coordinates where both covariances are
diag(r), r being the roots of the eigenvalues of S_1 S_2 (docs/statistics.md, sections 2 and 3):

    FD^ = FD + mean influence + |dm_1 - dm_2|² + 1/2 sum_ij (a_ij - b_ij)² / (r_i + r_j)

Two eigendecompositions and no resampling: the fast path, and the test of the jackknife, which is
its test. The bias is short of the jackknife's where N is only a few D, since sample eigenvalues
spread too far.
"""

from dataclasses import dataclass

import numpy as np

from spade_eval.reports.statistics.jackknife import Floats

# Of the largest eigenvalue: directions in which a side has no variance but that of rounding.
_RANK = 1e-12


@dataclass(frozen=True)
class FrechetExpansion:
    """A distance, the influence of each image of either side, and the bias to second order."""

    value: float
    real: Floats  # (N,), of mean 0
    synthesized: Floats  # (M,), of mean 0
    bias: float
    paired: bool

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
    x_common, y_common, roots = _common_coordinates(x, y)
    traces = [(side**2).sum() / (len(side) - 1) for side in (x, y)]
    # xᵀ T x = |x~|² and yᵀ T⁻¹ y = |y~|² with T the optimal map.
    phi = 2 * x @ shift + (x**2).sum(axis=1) - (x_common**2).sum(axis=1)
    psi = -2 * y @ shift + (y**2).sum(axis=1) - (y_common**2).sum(axis=1)
    return FrechetExpansion(
        value=float(shift @ shift + sum(traces) - 2 * roots.sum()),
        real=phi - phi.mean(),
        synthesized=psi - psi.mean(),
        bias=(_paired_bias if paired else _independent_bias)(x, y, x_common, y_common, roots),
        paired=paired,
    )


def influence_of_maps(real: Floats, synthesized: Floats) -> Floats:
    """Return the (N,) influence of each label map: of its photo and, on average, of its images.

    `synthesized` is (N, D), or (K N, D) where there are K draws, one after another. Pooled images
    weigh 1 / (K N) each, so that a label map weighs 1 / N with the mean of its K images.
    """
    found = expand_frechet(real, synthesized, paired=len(real) == len(synthesized))
    influence: Floats = found.real + found.synthesized.reshape(-1, len(real)).mean(axis=0)
    return influence


def _common_coordinates(x: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
    """(N, K) and (M, K) centred rows whose covariances are both diag(r), and the (K,) r."""
    values, vectors = np.linalg.eigh(x.T @ x / (len(x) - 1))
    known = values > _RANK * values.max()
    widths, vectors = np.sqrt(values[known]), vectors[:, known]
    factor = vectors * widths  # S_1 = F Fᵀ
    squares, turn = np.linalg.eigh(factor.T @ (y.T @ y / (len(y) - 1)) @ factor)
    known = squares > max(_RANK * squares.max(initial=0.0), 0.0)
    roots, turn = np.sqrt(squares[known]), turn[:, known]
    return (
        x @ (vectors / widths @ turn * np.sqrt(roots)),
        y @ (factor @ turn / np.sqrt(roots)),
        roots,
    )


def _paired_bias(x: Floats, y: Floats, x_common: Floats, y_common: Floats, roots: Floats) -> float:
    """(1/N) { mean |x - y|² + 1/2 mean (u'Ku + v'Kv - 2 w'Kw) }: u = x~², v = y~², w = x~ y~."""
    u, v, w = x_common**2, y_common**2, x_common * y_common
    quadratic = _form(u, roots) + _form(v, roots) - 2 * _form(w, roots)
    return float((((x - y) ** 2).sum() / (len(x) - 1) + quadratic / 2) / len(x))


def _independent_bias(
    x: Floats, y: Floats, x_common: Floats, y_common: Floats, roots: Floats
) -> float:
    """T_1/N + T_2/M + 1/2 [(mean u'Ku - sum r/2)/N + (mean v'Kv - sum r/2)/M]."""
    bias = 0.0
    for side, common in ((x, x_common), (y, y_common)):
        trace = (side**2).sum() / (len(side) - 1)
        bias += (trace + (_form(common**2, roots) - roots.sum() / 2) / 2) / len(side)
    return float(bias)


def _form(rows: Floats, roots: Floats) -> float:
    """Mean over rows of sum_ij row_i row_j / (r_i + r_j)."""
    return float(((rows.T @ rows) / (roots[:, None] + roots)).sum() / len(rows))
