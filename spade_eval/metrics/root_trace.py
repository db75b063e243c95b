# SPDX-License-Identifier: Apache-2.0
"""The trace of the root of a product of two covariances, which a Fréchet distance takes time for.

    tr (S_1 S_2)^(1/2) = sum of the roots of the eigenvalues of Fᵀ S_2 F,   S_1 = F Fᵀ

The eigenvalues of S_1 S_2 are a generalised symmetric problem. LAPACK makes Fᵀ S_2 F of it (sygst,
F of Cholesky) for a quarter of what two products cost. NumPy and SciPy alone: reports take it, too.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def root_trace(covariance: Floats, other: Floats) -> float:
    """Return the trace for two (D, D) symmetric float64 matrices without negative eigenvalues.

    A feature that never varies makes the first singular, however many images there are: then its
    eigenvectors are a factor, at three times the cost.
    """
    import scipy.linalg

    try:  # Transposed, matrices are as LAPACK stores them, and are not turned round.
        eigenvalues = scipy.linalg.eigvalsh(
            other.T, covariance.T, type=2, driver="gv", check_finite=False
        )
    except np.linalg.LinAlgError:
        return root_trace_by_factor(scaled_eigenvectors(covariance), other)
    return sum_of_roots(eigenvalues)


def root_trace_by_factor(factor: Floats, other: Floats) -> float:
    """Compute it as it is written, from any (D, K) F."""
    return sum_of_roots(np.linalg.eigvalsh(factor.T @ other @ factor))


def sum_of_roots(eigenvalues: NDArray[np.floating[Any]]) -> float:
    """Return the sum of the roots; rounding alone can make one of them negative."""
    return float(np.sqrt(np.clip(eigenvalues, 0, None)).sum())


def factor_of(covariance: Floats) -> Floats:
    """Return (D, D) F with F Fᵀ the covariance: of Cholesky, or where it is singular by vectors."""
    try:
        factor: Floats = np.linalg.cholesky(covariance).astype(np.float64, copy=False)
    except np.linalg.LinAlgError:
        factor = scaled_eigenvectors(covariance)
    return factor


def scaled_eigenvectors(covariance: Floats) -> Floats:
    """Return (D, D) F with F Fᵀ the covariance, of any rank."""
    values, vectors = np.linalg.eigh(covariance)
    roots: Floats = vectors * np.sqrt(np.clip(values, 0, None))
    return roots
