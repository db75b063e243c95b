# SPDX-License-Identifier: Apache-2.0
"""How long the Fréchet distance takes here, against the form that pytorch-fid takes.

Both start from the same features: ours from accumulated moments, covariances included; SciPy's
from finished means and covariances, as `calculate_frechet_distance` of pytorch-fid does. The two
take turns, so that a busy machine slows both, and medians are compared.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor

from spade_eval.errors import UserError
from spade_eval.memory import peak_mib, reset_peak
from spade_eval.metrics.float32_distance import trace_of_root
from spade_eval.metrics.frechet import frechet_distance
from spade_eval.metrics.moments import FeatureMoments

TARGETS = {(2048, 5000): 0.25, (2048, 500): 0.02}
"""Largest ratio aimed at, by dimension and number of images."""
_CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class DistanceTiming:
    """One row: medians in seconds with their spread, their ratio, and both values."""

    dim: int
    num_images: int
    repeats: int
    warm_up: int
    ours_seconds: float
    fastest: float  # of ours
    slowest: float
    scipy_seconds: float
    scipy_fastest: float
    scipy_slowest: float
    peak_mib: float | None  # of the process, in ours
    scipy_peak_mib: float | None
    ratio: float
    target: float | None  # None where none is set for this dimension and number
    ours: float
    scipy: float


def time_distance(
    dim: int, num_images: int, repeats: int, seed: int, warm_up: int = 1
) -> DistanceTiming:
    """Both forms on the same two sets of features, `repeats` times each in turn."""
    if num_images < 2 or dim < 1:
        raise UserError(
            f"--n {num_images}, --dim {dim}: expected at least 2 images and 1 dimension"
        )
    real, synthesized = (_moments(_draw(dim, num_images, seed + side)) for side in range(2))
    statistics = [(item.mean(), item.covariance()) for item in (real, synthesized)]
    ours, theirs = _alternating(
        (
            lambda: frechet_distance(real, synthesized),
            lambda: _distance_by_scipy(statistics[0], statistics[1]),
        ),
        repeats,
        warm_up,
    )
    ours_seconds, scipy_seconds = median(ours.seconds), median(theirs.seconds)
    return DistanceTiming(
        dim=dim,
        num_images=num_images,
        repeats=repeats,
        warm_up=warm_up,
        ours_seconds=ours_seconds,
        fastest=min(ours.seconds),
        slowest=max(ours.seconds),
        scipy_seconds=scipy_seconds,
        scipy_fastest=min(theirs.seconds),
        scipy_slowest=max(theirs.seconds),
        peak_mib=ours.peak_mib,
        scipy_peak_mib=theirs.peak_mib,
        ratio=ours_seconds / scipy_seconds,
        target=TARGETS.get((dim, num_images)),
        ours=ours.value,
        scipy=theirs.value,
    )


@dataclass
class _Timed:
    seconds: list[float]
    value: float = math.nan
    peak: float = -1  # MiB

    @property
    def peak_mib(self) -> float | None:
        return self.peak if self.peak >= 0 else None


def _alternating(
    functions: Sequence[Callable[[], float]], repeats: int, warm_up: int
) -> list[_Timed]:
    timed = [_Timed([]) for _ in functions]
    for number in range(-warm_up, repeats):
        for function, found in zip(functions, timed, strict=True):
            if number == -warm_up:
                reset_peak(_CPU)
            started = time.perf_counter()
            found.value = function()
            if number >= 0:
                found.seconds.append(time.perf_counter() - started)
            if number == -warm_up:  # the first run, which is not timed if there are others
                found.peak = peak_mib(_CPU)
    return timed


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
    """From mean and covariance of each side."""
    (mean, covariance), (other_mean, other_covariance) = first, second
    root_trace = trace_of_root(covariance.numpy(), other_covariance.numpy())
    traces = (covariance.trace() + other_covariance.trace()).item()
    return (mean - other_mean).square().sum().item() + traces - 2 * root_trace
