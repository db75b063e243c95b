# SPDX-License-Identifier: Apache-2.0
"""How long the Fréchet distance takes here, against the form that pytorch-fid takes.

Both start from the same features: ours from accumulated moments, SciPy's from finished means and
covariances, as `calculate_frechet_distance` of pytorch-fid does. The photos' covariance is kept
after the first distance, as in a run of several rows; the images' is made anew each time. Beside
them stand the eigenvalues alone of one matrix of that size: less no form can take. Medians are
compared. What makes both distances sure (no bias, an interval, influence values; of KID too) is
timed once, since it takes as long as it does.
"""

import copy
import math
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spade_eval.bench.timing import CPU, Clock, Row, alternating, whole
from spade_eval.errors import UserError
from spade_eval.metrics.float32_distance import trace_of_root
from spade_eval.metrics.frechet import frechet_distance
from spade_eval.metrics.moments import FeatureMoments

TARGETS = {(2048, 5000): 0.25, (2048, 500): 0.02}
"""Largest ratio aimed at, by dimension and number of images."""
UNCERTAINTY_TARGETS = {(2048, 5000): 60.0}
"""Seconds aimed at for the uncertainty of a row, on two cores."""

Uncertainty = Callable[[NDArray[np.float64], NDArray[np.float64]], object]


def time_distance(
    dim: int,
    num_images: int,
    repeats: int,
    seed: int,
    warm_up: int = 1,
    uncertainty: Uncertainty | None = None,
) -> Row:
    """Time both forms on the same two sets of features: medians, their ratio, both values.

    `fastest`, `slowest` and `peak_mib` are of ours; `target` is None where none is set. Of
    `uncertainty`, which takes both sets, seconds on the clock and of all cores.
    """
    if num_images < 2 or dim < 1:
        raise UserError(
            f"--n {num_images}, --dim {dim}: expected at least 2 images and 1 dimension"
        )
    sets = [_draw(dim, num_images, seed + side) for side in range(2)]
    real, synthesized = map(_moments, sets)
    statistics = [(item.mean(), copy.copy(item).covariance()) for item in (real, synthesized)]
    forms = (
        lambda: frechet_distance(real, copy.copy(synthesized)),  # which keeps no covariance
        lambda: _distance_by_scipy(statistics[0], statistics[1]),
        lambda: torch.linalg.eigvalsh(statistics[0][1]).sum().item(),
    )
    runs = [whole(form) for form in forms]
    ours, theirs, least = alternating(runs, repeats=repeats, warm_up=warm_up)
    return {
        "dim": dim,
        "num_images": num_images,
        "repeats": repeats,
        "warm_up": warm_up,
        "ours_seconds": ours.median,
        "fastest": min(ours.seconds),
        "slowest": max(ours.seconds),
        "scipy_seconds": theirs.median,
        "scipy_fastest": min(theirs.seconds),
        "scipy_slowest": max(theirs.seconds),
        "peak_mib": ours.peak_mib,
        "scipy_peak_mib": theirs.peak_mib,
        "eigenvalues_seconds": least.median,
        "eigenvalues_fastest": min(least.seconds),
        "eigenvalues_slowest": max(least.seconds),
        "ratio": ours.median / theirs.median,
        "target": TARGETS.get((dim, num_images)),
        "ours": ours.value,
        "scipy": theirs.value,
        **({} if uncertainty is None else _time_uncertainty(uncertainty, sets)),
        "uncertainty_target": UNCERTAINTY_TARGETS.get((dim, num_images)),
    }


def _time_uncertainty(uncertainty: Uncertainty, sets: list[Tensor]) -> Row:
    clock, busy = Clock(CPU), time.process_time()
    with clock():
        uncertainty(sets[0].numpy(), sets[1].numpy())
    return {
        "uncertainty_seconds": sum(clock.seconds.values()),
        "uncertainty_core_seconds": time.process_time() - busy,
    }


def _draw(dim: int, count: int, seed: int) -> Tensor:
    """(count, dim) float64 correlated features, not negative, as those of Inception."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(dim, dim, generator=generator, dtype=torch.float64) / math.sqrt(dim)
    normal = torch.randn(count, dim, generator=generator, dtype=torch.float64)
    return (normal @ mixing + 0.5).relu()


def _moments(features: Tensor) -> FeatureMoments:
    moments = FeatureMoments(features.shape[1])
    moments.update(features)
    return moments


def _distance_by_scipy(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> float:
    """Compute it from mean and covariance of each side."""
    (mean, covariance), (other_mean, other_covariance) = first, second
    root_trace = trace_of_root(covariance.numpy(), other_covariance.numpy())
    traces = (covariance.trace() + other_covariance.trace()).item()
    return (mean - other_mean).square().sum().item() + traces - 2 * root_trace
