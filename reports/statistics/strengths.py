# SPDX-License-Identifier: Apache-2.0
"""Strengths of several rows from answers about pairs: the model of Bradley and Terry (1952).

    P(i is preferred to j) = g_i / (g_i + g_j)                                                (9)

fitted by maximum likelihood with Zermelo's (1929) iteration, whose convergence Hunter (2004,
Annals of Statistics 32, eq. 3) shows; w_ij answers prefer i to j, n_ij = w_ij + w_ji:

    g_i <- sum_j w_ij / sum_j n_ij / (g_i + g_j)                                              (10)

A maximum exists where no group of rows wins, or loses, all answers against the rest (Ford, 1957).
Strengths are logarithms, which have mean 0: a difference d is a preference of 1 / (1 + exp(-d)).
"""

import numpy as np
from numpy.typing import NDArray

from spade_eval.reports.statistics.bootstrap import Floats, interval

_CLOSE = 1e-10  # of a step, in logarithms
_MOST_STEPS = 20_000  # rows that all but always win converge slowly


def bradley_terry(wins: Floats) -> Floats:
    """Return log strengths (K,) of `wins` (K, K), w_ij; NaN where no maximum exists."""
    strengths: Floats = resampled_strengths(wins[None])[0]
    return strengths


def resampled_strengths(wins: Floats) -> Floats:
    """Return log strengths (R, K) of several (R, K, K) counts; NaN for those without a maximum."""
    strengths = np.full(wins.shape[:2], np.nan)
    known = is_connected(wins)
    if known.any():
        strengths[known] = _fitted(wins[known])
    return strengths


def is_connected(wins: Floats) -> NDArray[np.bool_]:
    """Return whether each row beats each other one, if only through others: Ford's condition."""
    num_rows = wins.shape[1]
    beats: NDArray[np.bool_] = np.logical_or(wins > 0, np.eye(num_rows, dtype=bool))
    for _ in range(num_rows.bit_length()):  # paths of 1, 2, 4, ... steps
        beats = np.matmul(beats, beats)
    return np.array([bool(item.all()) for item in beats])


def strengths_with_intervals(by_image: Floats, times: Floats) -> tuple[Floats, Floats, Floats]:
    """Return log strengths and percentiles over images drawn anew, each (K,).

    `by_image` is (images, K, K), answers about an image that prefer i to j; `times` (R, images).
    Resamples without a maximum are left out.
    """
    num_rows = by_image.shape[1]
    flat = by_image.reshape(len(by_image), -1)
    resamples = resampled_strengths((times @ flat).reshape(-1, num_rows, num_rows))
    low, high = interval(resamples)
    return bradley_terry(by_image.sum(axis=0)), low, high


def _fitted(wins: Floats) -> Floats:
    """Iterate (10) from equal strengths, all resamples at once."""
    total = wins.sum(axis=2)
    answers = wins + wins.transpose(0, 2, 1)
    logs = np.zeros(total.shape)
    for _ in range(_MOST_STEPS):
        g = np.exp(logs)
        fitted = np.log(total / (answers / (g[:, :, None] + g[:, None, :])).sum(axis=2))  # (10)
        fitted -= fitted.mean(axis=1, keepdims=True)
        is_close = np.abs(fitted - logs).max() < _CLOSE
        logs = fitted
        if is_close:
            break
    return logs
