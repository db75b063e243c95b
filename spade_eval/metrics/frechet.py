# SPDX-License-Identifier: Apache-2.0
"""Fréchet distance between the Gaussians that fit two sets of features (Heusel et al., 2017).

    d² = |mu_1 - mu_2|² + tr S_1 + tr S_2 - 2 tr (S_1 S_2)^(1/2)

with sample covariances (divided by N - 1) in float64. For any factors F_i F_iᵀ = S_i the last
trace is the sum of the singular values of F_1ᵀ F_2, which are the roots of the eigenvalues of
F_1ᵀ S_2 F_1. Both forms are symmetric: no root of a non-symmetric product, no complex results.
Which one is taken follows the rank:

- N > dimension on both sides: eigenvalues, F_1 from a Cholesky decomposition (`root_trace.py`);
- N <= dimension on both sides (500 images of Cityscapes, 2048 features): the centred features
  themselves are the factors, and the trace is the nuclear norm of their cross product. It is exact
  in the rank, where covariances add the roots of the rounding errors of all zero eigenvalues;
- one of each: eigenvalues, the centred features of the small side being F_1.
"""

import math

import torch
from torch import Tensor

from spade_eval.metrics.moments import FeatureMoments
from spade_eval.metrics.root_trace import root_trace


def frechet_distance(real: FeatureMoments, synthesized: FeatureMoments) -> float:
    """Compute the squared Fréchet distance, as FID is: symmetric, and 0 for equal sets.

    Both sides need at least 2 rows. Sets with `is_rank_deficient` give a value that is biased
    upwards and can be compared at equal N only; the caller warns.
    """
    if real.dim != synthesized.dim:
        raise ValueError(f"features have {real.dim} and {synthesized.dim} dimensions")
    for moments in (real, synthesized):
        moments.require_count(2)
    few, many = sorted((real, synthesized), key=lambda moments: not moments.is_rank_deficient)
    mean_term = few.mean_difference(many).square().sum().item()
    if many.is_rank_deficient:
        few_factor, many_factor = _centred_factor(few), _centred_factor(many)
        traces = few_factor.square().sum().item() + many_factor.square().sum().item()
        roots = torch.linalg.svdvals(few_factor.T @ many_factor).sum().item()
    else:
        covariance, other = few.covariance(), many.covariance()
        traces = covariance.trace().item() + other.trace().item()
        if few.is_rank_deficient:
            factor = _centred_factor(few)
            # N centred rows have rank N - 1: the least eigenvalue is 0.
            eigenvalues = torch.linalg.eigvalsh(factor.T @ other @ factor)[1:]
            roots = eigenvalues.clamp(min=0).sqrt().sum().item()
        else:
            roots = root_trace(covariance.numpy(), other.numpy())
    # A squared distance; rounding alone can take it below zero.
    return max(math.fsum((mean_term, traces, -2 * roots)), 0.0)


def _centred_factor(moments: FeatureMoments) -> Tensor:
    """(dim, N) factor of the covariance: centred features over the root of N - 1."""
    return moments.centred_rows().T / math.sqrt(moments.count - 1)
