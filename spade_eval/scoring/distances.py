# SPDX-License-Identifier: Apache-2.0
"""The distances of a run: FID by named profiles, or FD on the in-domain segmenter's features.

Only a distance on a profile's own Inception weights is called FID. Without them an in-domain run
compares features of its segmenter, under another name; any other run is refused, unless the chain
is only tried: then noise stands in for the weights, and the distance is said to mean nothing.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from spade_eval.datasets.base import Dataset
from spade_eval.errors import UserError, as_user_error, lookup
from spade_eval.metrics import metric_classes
from spade_eval.metrics.base import FeatureKind, FeatureMetric
from spade_eval.metrics.feature_set import FeatureSet
from spade_eval.metrics.fid_profiles import FID_PROFILES, FIDProfile
from spade_eval.metrics.inception import InceptionFeatures
from spade_eval.metrics.inception_network import inception_v3
from spade_eval.models.checkpoints.safe_load import load_tensors
from spade_eval.models.fast.accelerate import accelerate_frozen
from spade_eval.records import sha256_of_json
from spade_eval.scoring.reference_statistics import expected_identity, load_statistics
from spade_eval.scoring.segmenter import ScoringSegmenter
from spade_eval.segmenters.filled import fill
from spade_eval.segmenters.in_domain import InDomainFeatures, InDomainNetwork
from spade_eval.weights import installed, is_installed, sha256_of_weights


class FeatureNetwork(Protocol):
    """A network whose features a distance between image sets compares."""

    feature_dim: int

    def __call__(self, images: Tensor) -> Tensor:
        """Map (N, 3, H, W) in [0, 1] -> (N, feature_dim)."""
        ...


@dataclass(frozen=True)
class Directions:
    """Directions in the space of features that are compared instead of all."""

    axes: Tensor  # (D, K), orthonormal

    @property
    def count(self) -> int:
        return self.axes.shape[1]

    def __call__(self, features: Tensor) -> Tensor:
        """Map (N, D) -> (N, K)."""
        return features @ self.axes


@dataclass(frozen=True)
class Distance:
    """A feature network, and the column of the distance between its features."""

    metric: str  # the column that it is, unless `is_extra`
    title: str  # of the network and its weights
    sha256: str  # of the weights
    network: FeatureNetwork
    profile_name: str | None = None
    profile: FIDProfile | None = None
    filled: bool = False  # noise stands in for the weights
    is_extra: bool = False  # another FID of the run is the column FID; this one has its own
    kind: FeatureKind = "inception"
    directions: Directions | None = None  # along which the features are compared; None: all
    labels: Mapping[str, str] = field(default_factory=dict)  # of columns, where the network says
    remark: str = ""  # what every number of it must be shown with

    @property
    def column(self) -> str:
        """Name of the distance in records: each FID of a run has another."""
        return f"{self.metric}_{self.profile_name}" if self.is_extra else self.metric

    @property
    def scores_floats(self) -> bool:
        """Whether images enter as the generator gives them instead of as 8-bit files."""
        return self.profile is not None and not self.profile.eight_bit

    def used_images(self, count: int) -> int:
        """Return how many of `count` images enter, the first ones."""
        return count if self.profile is None else self.profile.used_images(count)

    @property
    def feature_dim(self) -> int:
        """Number of features that are compared."""
        return self.network.feature_dim if self.directions is None else self.directions.count

    def features(self, images: Tensor) -> Tensor:
        """Turn (N, 3, H, W) in [0, 1] into (N, D) on the CPU."""
        return self.along(self.all_features(images))

    @torch.inference_mode()
    def all_features(self, images: Tensor) -> Tensor:
        """Turn (N, 3, H, W) in [0, 1] into (N, D') on the CPU, all that the network gives."""
        return self.network(images).cpu()

    def along(self, features: Tensor) -> Tensor:
        """Keep of all features of the network, (N, D'), what is compared, (N, D)."""
        return features if self.directions is None else self.directions(features)

    @property
    def metrics(self) -> list[FeatureMetric]:
        """New ones: all that compare features of this network."""
        kinds = [kind for kind in metric_classes() if issubclass(kind, FeatureMetric)]
        return [kind(self) for kind in kinds if kind.applies_to(self)]

    def compare(self, real: FeatureSet, synthesized: FeatureSet) -> dict[str, float | None]:
        """Compute all `metrics`, by column: None where there are too few images for one."""
        return {
            column: value
            for metric in self.metrics
            for column, value in metric.compare(real, synthesized).items()
        }

    def notes(self, count: int) -> tuple[str, ...]:
        """Say what must accompany a distance between `count` images on either side."""
        if self.profile is not None:
            return self.profile.notes(count, count)
        return (self.remark,) if self.remark else ()

    @property
    def is_further(self) -> bool:
        """Whether --features asked for it: no FID, and not in the place of one."""
        return self.kind not in ("inception", "in-domain")


def profiles_at_hand(
    names: Sequence[str], weights_dir: Path, *, in_domain: bool, filled: bool
) -> Mapping[str, FIDProfile]:
    """Return the FID profiles of these names, whose weights are there or are to be noise.

    None where weights are missing and the segmenter is in-domain: its features stand in for them.
    `UserError` for others. Nothing is opened.
    """
    profiles = {name: lookup(FID_PROFILES, name, "FID profile") for name in names}
    present = [is_installed(profile.weights, weights_dir) for profile in profiles.values()]
    if in_domain and not all(present):
        return {}
    for profile in profiles.values():
        if not filled:
            _weights_of(profile, weights_dir)
    return profiles


def open_distances(
    profiles: Mapping[str, FIDProfile],
    in_domain: ScoringSegmenter | None,
    weights_dir: Path,
    device: torch.device,
    *,
    filled: bool = False,
) -> tuple[Distance, ...]:
    """Open FID by each profile, or FD on the features of an in-domain segmenter in its place."""
    if in_domain is not None:
        network = in_domain.network
        assert isinstance(network, InDomainNetwork)
        features = InDomainFeatures(network)
        title, sha256 = in_domain.title, in_domain.sha256
        return (Distance("fd_in_domain", title, sha256, features, kind="in-domain"),)
    return tuple(
        _fid(name, profile, weights_dir, device, filled=filled, is_extra=index > 0)
        for index, (name, profile) in enumerate(profiles.items())
    )


def _fid(
    name: str,
    profile: FIDProfile,
    weights_dir: Path,
    device: torch.device,
    *,
    filled: bool,
    is_extra: bool,
) -> Distance:
    network, title, digest, is_noise = open_inception(profile, weights_dir, filled=filled)
    features = accelerate_frozen(network.to(device))
    return Distance("fid", title, digest, features, name, profile, is_noise, is_extra)


def open_inception(
    profile: FIDProfile, weights_dir: Path, *, filled: bool
) -> tuple[InceptionFeatures, str, str, bool]:
    """Open the plain network of a profile -> it, its title and hash, and whether it is noise.

    With `filled` noise stands in for weights that are missing; `UserError` without it.
    """
    if filled and not is_installed(profile.weights, weights_dir):
        noise = inception_v3(profile.network).to_empty(device="cpu")
        fill(noise, 1.0)
        digest = sha256_of_json({"filled": "inception"})
        features = InceptionFeatures(noise.state_dict(), profile)
        return features, f"{profile.weights.title}, filled", digest, True
    path = _weights_of(profile, weights_dir)
    with as_user_error(f"FID weights {path.name}"):
        features = InceptionFeatures(load_tensors(path), profile)
    return features, profile.weights.title, sha256_of_weights(path), False


def _weights_of(profile: FIDProfile, weights_dir: Path) -> Path:
    advice = "leave FID out with --fid-profile none, or name the folder with --weights-dir"
    return installed(dataclasses.replace(profile.weights, flags=advice), weights_dir)


def stored_references(
    path: Path, distances: Sequence[Distance], dataset: Dataset, count: int
) -> dict[str, FeatureSet]:
    """Read statistics of `spade-eval stats make` for the distance of their profile, by column."""
    named = {item.profile_name: item for item in distances if item.profile_name is not None}
    if not named:
        raise UserError(
            f"--reference {path} holds statistics for FID, but this run has none: its Inception "
            "weights are not in --weights-dir (see `spade-eval weights list`)"
        )
    stored = load_statistics(path).identity.profile
    distance = named.get(stored, next(iter(named.values())))
    return {distance.column: _stored_reference(path, distance, dataset, count)}


def _stored_reference(path: Path, distance: Distance, dataset: Dataset, count: int) -> FeatureSet:
    """Stored statistics, refused unless this run would compute the same."""
    assert distance.profile_name is not None
    expected = expected_identity(
        distance.profile_name, distance.sha256, dataset.names[:count], dataset.size
    )
    stored = load_statistics(path, expected)
    if stored.content_sha256 != dataset.fingerprint():
        raise UserError(
            f"--reference {path} was made of {stored.origin} with other content "
            f"({stored.content_sha256[:12]}, now {dataset.fingerprint()[:12]}); make it again with "
            "`spade-eval stats make`"
        )
    return FeatureSet(stored.moments, stored.features)
