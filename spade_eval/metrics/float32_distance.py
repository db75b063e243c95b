# SPDX-License-Identifier: Apache-2.0
"""Fréchet distance as OASIS computes it while it trains: float32 statistics, SciPy's root.

Kept to repeat the numbers by which its checkpoints were chosen, and for nothing else: with 500
images of 2048 features it comes out several units too low, by an amount that depends on the
versions of SciPy and LAPACK. `frechet.py` has the distance itself.
"""

import contextlib
import io

import numpy as np
from numpy.typing import NDArray

from spade_eval.metrics.moments import FeatureMoments

_OFFSET = 1e-6  # added to both diagonals where the root is not finite


def float32_distance(real: FeatureMoments, synthesized: FeatureMoments) -> float:
    """Compute the squared distance of mean and covariance rounded to float32."""
    mean, covariance = _rounded(real)
    other_mean, other_covariance = _rounded(synthesized)
    offset = mean - other_mean
    root_trace = trace_of_root(covariance, other_covariance)
    return float(
        offset @ offset + np.trace(covariance) + np.trace(other_covariance) - 2 * root_trace
    )


def trace_of_root(covariance: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Return the trace of SciPy's matrix root of the product, as pytorch-fid takes it.

    No argument but the matrix is passed: `disp`, which pytorch-fid 0.3 gives, is gone from SciPy
    1.18. Its remarks on singular matrices, printed by older versions, are swallowed.
    """
    from scipy.linalg import sqrtm

    with contextlib.redirect_stdout(io.StringIO()):
        root = np.asarray(sqrtm(covariance @ other))
        if not np.isfinite(root).all():
            diagonal = np.eye(len(covariance), dtype=covariance.dtype) * _OFFSET
            root = np.asarray(sqrtm((covariance + diagonal) @ (other + diagonal)))
    return float(np.trace(root).real)


def _rounded(moments: FeatureMoments) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    mean, covariance = moments.mean(), moments.covariance()
    return mean.float().numpy(), covariance.float().numpy()
