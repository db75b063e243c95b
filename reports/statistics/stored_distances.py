# SPDX-License-Identifier: Apache-2.0
"""Distances of a row with groups of its images left out, from the features that its run stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spade_eval.metrics.arrays import read_arrays, write_arrays
from spade_eval.records import Measurement
from spade_eval.reports.measured.counts import features_path
from spade_eval.reports.measured.grouping import Row
from spade_eval.reports.statistics.feature_distances import (
    NUM_GROUPS,
    Floats,
    jackknife_interval,
    left_out_frechet,
    left_out_kernel,
    load_features,
)

_KERNEL = "kid"
_QUICK_DIM = 512
# Two images a group at least: with fewer a group says nothing about its kind.
_FEWEST_IMAGES = 2 * NUM_GROUPS


@dataclass(frozen=True)
class LeftOut:
    """One distance with one group of images left out at a time."""

    values: Floats  # (G,)

    def interval(self, estimate: float) -> tuple[float, float]:
        """Return 95% of the distance itself."""
        return jackknife_interval(estimate, self.values)

    def interval_against(self, other: "LeftOut", difference: float) -> tuple[float, float]:
        """Return 95% of the difference to a row that leaves out the same images."""
        return jackknife_interval(difference, self.values - other.values)


def left_out_distances(
    row: Row, run_folder: Path, *, thorough: bool = True
) -> Mapping[str, LeftOut]:
    """Return them by metric; none where features of the row or of the photos were not kept.

    Computed once and kept in the run's `cache`. Without `thorough` only what is there already or
    takes seconds.
    """
    distances: dict[str, LeftOut] = {}
    for metric, item in row.scores.items():
        if item.value is None or not (is_frechet(metric) or metric == _KERNEL):
            continue
        kept = run_folder / "cache" / f"left_out-{metric}-{item.job_sha256[:16]}.npz"
        if not kept.is_file():
            sets = stored_features(run_folder, item)
            if sets is None or not (thorough or is_quick(sets)):
                continue
            left_out = left_out_kernel if metric == _KERNEL else left_out_frechet
            write_arrays(kept, values=left_out(*sets))
        distances[metric] = LeftOut(read_arrays(kept, ("values",), "distances")["values"])
    return distances


def is_frechet(metric: str) -> bool:
    """Return whether it is FID by any profile, or the distance of in-domain features."""
    return metric == "fd_in_domain" or metric == "fid" or metric.startswith("fid_")


def is_quick(sets: tuple[Floats, Floats]) -> bool:
    """Return whether distances of these features take well below a second each."""
    return sets[1].shape[1] <= _QUICK_DIM


def stored_features(run_folder: Path, item: Measurement) -> tuple[Floats, Floats] | None:
    """Load features of photos and of the row's images, (N, D) each; None where one is missing."""
    synthesized = features_path(run_folder, item)
    reference = run_folder / "cache" / f"reference-{(item.reference_sha256 or '')[:16]}.npz"
    if not (synthesized.is_file() and reference.is_file()):
        return None
    real, made = load_features(reference), load_features(synthesized)
    if len(made) < _FEWEST_IMAGES or real.shape[1] != made.shape[1]:
        return None
    return real, made
