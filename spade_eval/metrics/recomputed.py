# SPDX-License-Identifier: Apache-2.0
"""Numbers of distances made again from features that a run stored, by the metrics that made them.

What a run kept of its images is enough for every metric of two sets of features. FIDs of float32
statistics are left out: they depend on the versions of SciPy and LAPACK by whole units.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from spade_eval.metrics import columns, metric_classes
from spade_eval.metrics.base import FeatureKind, FeatureMetric
from spade_eval.metrics.feature_set import FeatureSet
from spade_eval.metrics.fid_profiles import FID_PROFILES, FIDProfile

_OF_COLUMN: dict[str, FeatureKind] = {
    "fd_in_domain": "in-domain", "fd_lite0": "lite0", "fd_lite0_64": "lite0-64",
    "fd_dinov2": "dinov2", "fd_clip": "clip", "fd_hf": "hf",
}  # fmt: skip


@dataclass(frozen=True)
class RecordedSpace:
    """A feature network as records name it: by the column of its distance."""

    column: str
    profile_name: str | None  # of FID

    @property
    def kind(self) -> FeatureKind:
        return _OF_COLUMN.get(self.column, "inception")

    @property
    def is_extra(self) -> bool:
        """Whether its FID is not the first of the run."""
        return self.column.startswith("fid_")

    @property
    def profile(self) -> FIDProfile | None:
        return None if self.profile_name is None else FID_PROFILES[self.profile_name]


def from_features(
    space: RecordedSpace, photos: Path, *synthesized: Path
) -> Mapping[str, float | None]:
    """Compute every number of two sets of features, by what records call it.

    Several files of images are draws, taken together. Empty for a profile that this version does
    not know or that cannot be repeated elsewhere.
    """
    if not is_repeatable(space.profile_name):
        return {}
    real, made = FeatureSet.load(photos), _together([FeatureSet.load(one) for one in synthesized])
    kinds = [kind for kind in metric_classes() if issubclass(kind, FeatureMetric)]
    return {
        column: value
        for kind in kinds
        if kind.applies_to(space)
        for column, value in kind(space).compare(real, made).items()
    }


def _together(draws: Sequence[FeatureSet]) -> FeatureSet:
    features = [draw.features for draw in draws if draw.features is not None]
    return draws[0] if len(draws) == 1 else FeatureSet.of(torch.cat(features))


def is_repeatable(profile_name: str | None) -> bool:
    """Return whether this version makes the same numbers of the profile on every machine."""
    if profile_name is None:
        return True
    return profile_name in FID_PROFILES and FID_PROFILES[profile_name].statistics == "float64"


def presentation(metric: str, fid_profile: str | None) -> tuple[str, bool] | None:
    """Return the unit of a recorded column and whether larger is better; None for others'."""
    name = metric.removesuffix(f"_{fid_profile}") if fid_profile else metric
    column = columns().get(name)
    return None if column is None else (column.unit, column.larger_is_better)
