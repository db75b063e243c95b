# SPDX-License-Identifier: Apache-2.0
"""What judges the images of a run: segmenter, feature networks, and features of the photos.

Each is opened when it is first needed, since a run whose rows are all recorded needs none of them.
"""

import dataclasses
import functools
from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import cached_property
from pathlib import Path

from torch import Tensor

from spade_eval.config import RunConfig
from spade_eval.datasets.base import Dataset
from spade_eval.errors import UserError
from spade_eval.metrics.feature_set import FeatureSet
from spade_eval.metrics.fid_profiles import FIDProfile
from spade_eval.metrics.memorisation import num_compared
from spade_eval.protocol import ORIGINAL_SIZE, Protocol, ResolvedProtocol, is_in_domain
from spade_eval.records import sha256_of_json
from spade_eval.scoring.distances import (
    Distance,
    FeatureNetwork,
    open_distances,
    profiles_at_hand,
    stored_references,
)
from spade_eval.scoring.feature_networks import open_features
from spade_eval.scoring.feature_networks.directions import (
    IMAGES_A_DIRECTION,
    NUM_DIRECTIONS,
    along_directions,
    has_directions,
)
from spade_eval.scoring.in_domain import segmenter_config, shipped, train_segmenter
from spade_eval.scoring.original_photos import features_of_originals
from spade_eval.scoring.scorer import Photos, Scorer, cached_features
from spade_eval.scoring.segmenter import ScoringSegmenter, open_segmenter
from spade_eval.scoring.train_photos import contents_of, kept_thumbnails
from spade_eval.sources.source import RealPhotos
from spade_eval.workplace import Workplace


class ScoringNetworks:
    """The networks of one run, and what identifies them in its records."""

    def __init__(
        self,
        config: RunConfig,
        place: Workplace,
        protocol: Protocol,
        dataset: Dataset,
        count: int,
        train_split: Callable[[], Dataset],  # where an in-domain segmenter has to be trained
    ) -> None:
        self.config, self.place, self.protocol = config, place, protocol
        self.dataset, self.count = dataset, count
        self.train_split = train_split

    @cached_property
    def segmenter(self) -> ScoringSegmenter:
        """The network that scores; where it is in-domain, shipped, cached or trained now."""
        return open_segmenter(
            self.protocol.segmenter,
            self.dataset,
            self.place.weights_dir,
            self.place.device,
            filled=self.config.filled_weights,
            short_sides=self.protocol.short_sides,
            in_domain=self._in_domain_segmenter,
        )

    def _in_domain_segmenter(self) -> Path:
        """Trained by the first process alone: it is small, and its bits decide every score."""
        place = self.place
        ours = shipped(self.dataset, self.protocol.segmenter)
        return ours or place.world.on_first(self._trained_segmenter)

    def _trained_segmenter(self) -> Path:
        splits = [self.train_split()]
        name = self.protocol.segmenter
        config = segmenter_config(self.config.dataset, self.config.budget, splits, name)
        return train_segmenter(config, splits, self.place.weights_dir, self.place.device)

    @cached_property
    def profiles(self) -> Mapping[str, FIDProfile]:
        """The FID profiles that are compared, whose weights are there; see `profiles_at_hand`."""
        # A segmenter that is not trained for it is opened now: its file is the first to be missed.
        in_domain = is_in_domain(self.protocol.segmenter) or self.segmenter.weights == "in-domain"
        return profiles_at_hand(
            self.protocol.fid_profiles,
            self.place.weights_dir,
            in_domain=in_domain,
            filled=self.config.filled_weights,
        )

    @cached_property
    def distances(self) -> tuple[Distance, ...]:
        """FID by each profile of the protocol, or FD in-domain."""
        is_replaced = bool(self.protocol.fid_profiles) and not self.profiles
        usual = open_distances(
            self.profiles,
            self.segmenter if is_replaced else None,
            self.place.weights_dir,
            self.place.device,
            filled=self.config.filled_weights,
        )
        further = open_features(self.config.features, self.place.weights_dir, self.place.device)
        return (*usual, *further, *(found for item in further for found in self._along(item)))

    def _along(self, distance: Distance) -> list[Distance]:
        """Return the distance along directions of train photos, of which there must be enough."""
        if not has_directions(distance):
            return []
        photos = self._train_photos
        if photos is None or self.count < NUM_DIRECTIONS * IMAGES_A_DIRECTION:
            return []
        features = self._photo_features(distance, of_train=True).features
        assert features is not None
        return [along_directions(distance, features, photos)]

    @cached_property
    def _train_photos(self) -> str | None:
        """Hash of as many train photos as images are scored; None where there are fewer."""
        try:
            train = self.train_split()
            if len(train) < self.count:
                return None
            size = self.config.budget.size
            first = self.place.world.on_first(lambda: contents_of(train, self.count))
            return sha256_of_json([first, self.count, size])
        except UserError:  # of files that nothing else of this run needs
            return None

    def _photo_features(self, distance: Distance, *, of_train: bool = False) -> FeatureSet:
        """Compute features of the first photos of a split: once for distances of one network."""
        key = distance.network, of_train
        if key not in self._of_photos:
            whole = dataclasses.replace(distance, directions=None)
            scorer = Scorer(
                self.train_split() if of_train else self.dataset,
                self.count, self.protocol, self.segmenter, (whole,),
                self.place.device, self.place.world,
            )  # fmt: skip
            title = "train photos" if of_train else "reference"
            self._of_photos[key] = scorer.features_of(RealPhotos(), whole, title)
        known = self._of_photos[key]
        if distance.directions is None:
            return known
        assert known.features is not None
        return FeatureSet.of(distance.along(known.features))

    @cached_property
    def _of_photos(self) -> dict[tuple[FeatureNetwork, bool], FeatureSet]:
        """All features of photos, by network, and whether they are the train split's."""
        return {}

    @cached_property
    def resolved(self) -> ResolvedProtocol:
        """The profile with the hashes of the files it is applied with."""
        return ResolvedProtocol(
            protocol=self.protocol,
            size=self.config.budget.size,
            segmenter=self.segmenter.title,
            segmenter_sha256=self.segmenter.sha256,
            segmenter_weights=self.segmenter.weights,
            features=tuple((item.title, item.sha256) for item in self.distances),
        )

    @cached_property
    def scorer(self) -> Scorer:
        """The split with the networks that score it."""
        return Scorer(
            self.dataset,
            self.count,
            self.protocol,
            self.segmenter,
            self.distances,
            self.place.device,
            self.place.world,
        )

    @cached_property
    def numbers(self) -> frozenset[Hashable]:
        """What is recorded of every row: the columns of all metrics, and IoU of every class."""
        return numbers_of(self.scorer, self.segmenter.class_names)

    def reference_sha256(self, distance: Distance) -> str:
        """Return the identity of reference statistics: these photos through this network."""
        made_of = [
            self.dataset.fingerprint(),
            self.count,
            self.resolved.size,
            distance.sha256,
            distance.profile_name,
        ]
        if self._has_original_reference(distance):  # others keep their hashes
            made_of.append(ORIGINAL_SIZE)
        return sha256_of_json(made_of)

    def _has_original_reference(self, distance: Distance) -> bool:
        """Return whether a distance is to the photos as their files hold them: FID alone may be."""
        return self.protocol.fid_reference == ORIGINAL_SIZE and distance.profile is not None

    @cached_property
    def stored(self) -> dict[str, FeatureSet]:
        """Features of --reference, by column; refused before a segmenter is trained."""
        if self.place.reference is None:
            return {}
        if self.protocol.fid_reference == ORIGINAL_SIZE:
            raise UserError(
                f"--reference {self.place.reference}: profile {self.protocol.profile} compares "
                "with photos of their original size, which stored statistics are not of; leave "
                "--reference out"
            )
        distances = self.distances if self.profiles else ()
        return stored_references(self.place.reference, distances, self.dataset, self.count)

    @cached_property
    def references(self) -> dict[str, FeatureSet]:
        """Features of the photos for each distance: stored ones, or computed and cached."""
        features = dict(self.stored)
        for item in self.distances:
            if item.column not in features:
                made_by = self.reference_sha256(item)
                path = self.place.run_folder / "cache" / f"reference-{made_by[:16]}.npz"
                make = functools.partial(self._reference_features, item)
                features[item.column] = cached_features(path, made_by, make, self.place.world)
        return features

    def _reference_features(self, distance: Distance) -> FeatureSet:
        """Compute features of the photos that a distance is to."""
        if self._has_original_reference(distance):
            return features_of_originals(self.scorer, distance)
        return self._photo_features(distance)

    @cached_property
    def photos(self) -> Photos:
        """What the images of this run are compared with."""
        found = self.thumbnails
        return Photos(self.references, None if found is None else found[1])

    @cached_property
    def thumbnails(self) -> tuple[str, Tensor] | None:
        """Hash and thumbnails of training photos; None where there are none or they are damaged."""
        try:
            train = self.train_split()
            count = num_compared(self.count, len(train))
            folder = self.place.run_folder / "cache"
            return kept_thumbnails(train, count, folder, self.place.world)
        except UserError:  # of files that nothing else of this run needs
            return None

    def keep_floors(self) -> None:
        """Keep features of as many train photos beside those of the split's, for each distance.

        Their distance is what independent photos of one dataset come to. There are none where the
        train split is not there or smaller.
        """
        photos = self._train_photos
        if photos is None:
            return
        for item in self.distances:
            made_by = self.reference_sha256(item)
            path = self.place.run_folder / "cache" / f"floor-{made_by[:16]}.npz"
            made_of = sha256_of_json([made_by, photos])
            make = functools.partial(self._photo_features, item, of_train=True)
            cached_features(path, made_of, make, self.place.world)


def numbers_of(scorer: Scorer, class_names: Iterable[str]) -> frozenset[Hashable]:
    """Return what a scorer's rows hold: the columns of all metrics, and IoU of every class."""
    columns = {metric.column_of(name) for metric in scorer.metrics() for name in metric.columns}
    return frozenset(columns | {("iou", name) for name in class_names})
