# SPDX-License-Identifier: Apache-2.0
"""A batch of images with all that metrics may ask of it, each part made once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import torch
from torch import Tensor

from spade_eval.batches import photos, to_8_bit
from spade_eval.datasets.base import Dataset, Sample
from spade_eval.metrics.base import FeatureSpace
from spade_eval.metrics.segmentation import class_counts
from spade_eval.protocol import Protocol as ScoringProtocol
from spade_eval.scoring.distances import Distance, FeatureNetwork
from spade_eval.scoring.segmenter import ScoringSegmenter
from spade_eval.scoring.segmenter_input import entering, target_maps, without
from spade_eval.segmenters.in_domain import InDomainFeatures, InDomainNetwork, logits_and_features


@dataclass(frozen=True)
class Judges:
    """A split, a protocol and the networks that score it."""

    dataset: Dataset
    count: int  # the first so many samples of the split
    protocol: ScoringProtocol
    segmenter: ScoringSegmenter
    distances: tuple[Distance, ...]
    device: torch.device

    @property
    def shares_an_encoder(self) -> Distance | None:
        """The distance that compares maps which the segmenter makes on its way; None: none does."""
        if self.protocol.segmenter_input.filter != "none":
            return None
        for distance in self.distances:
            network = distance.network
            if isinstance(network, InDomainFeatures):
                return distance if network.segmenter is self.segmenter.network else None
        return None


@dataclass(frozen=True)
class Batch:
    """Images that are scored together, on the device; a `ScoredBatch`.

    As 8 bit, which a PNG would hold, they go to the segmenter and to the feature networks.
    """

    judges: Judges
    number: int  # of the batch in the split
    indices: Sequence[int]  # of the samples in the split
    samples: list[Sample]
    given: list[Sample]  # as generators get them: the same, unless the protocol changes maps
    floats: Tensor  # (N, 3, H, W) in [0, 1], on the device

    @property
    def names(self) -> list[str]:
        """Stems of the images."""
        return [sample.name for sample in self.samples]

    @property
    def places(self) -> range:
        """Places of the images in the order of scoring."""
        start = self.number * self.judges.protocol.batch_size
        return range(start, start + len(self.samples))

    @cached_property
    def images(self) -> Tensor:
        """(N, 3, H, W) uint8."""
        return to_8_bit(self.floats, self.judges.protocol)

    @cached_property
    def photos(self) -> Tensor:
        """(N, 3, H, W) uint8, the real ones."""
        return photos(self.samples).to(self.judges.device)

    @property
    def predicted(self) -> tuple[Tensor, Tensor]:
        """(N, H', W') predicted and true classes at the protocol's size."""
        prediction, targets, _ = self._judged
        return prediction, targets

    @cached_property
    def class_counts(self) -> tuple[Tensor, Tensor]:
        """(N, 3, C) pixels of each class and (N,) ignored ones."""
        return class_counts(*self.predicted, len(self.judges.segmenter.class_names))

    def features(self, space: FeatureSpace) -> Tensor:
        """Return (M, D) features of those images of the batch that enter a distance of the run."""
        return self._features[space.column]

    @cached_property
    def _features(self) -> dict[str, Tensor]:
        """Features by column of every distance."""
        shares, made = self.judges.shares_an_encoder, {}
        if shares is not None:
            shared = self._judged[2]
            assert shared is not None
            made[shares.column] = shared.cpu()
        others = [item for item in self.judges.distances if item is not shares]
        return made | {item.column: self.features_for(item) for item in others}

    def features_for(self, distance: Distance) -> Tensor:
        """Return (M, D) features of those images of the batch that the profile uses."""
        places = self.places
        used = len(range(places.start, min(places.stop, distance.used_images(self.judges.count))))
        if not used:
            return torch.empty(0, distance.feature_dim)
        images = self.floats if distance.scores_floats else self._scaled
        known = self._outputs.get(distance.network)
        if known is None:
            known = self._outputs[distance.network] = distance.all_features(images[:used])
        return distance.along(known)

    @cached_property
    def _outputs(self) -> dict[FeatureNetwork, Tensor]:
        """What networks have made of the batch, which several distances may compare."""
        return {}

    @cached_property
    def _scaled(self) -> Tensor:
        """8 bit -> [0, 1]."""
        return self.images.float() / 255

    @cached_property
    @torch.inference_mode()
    def _judged(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Predicted and true classes, and features where they are made on the way."""
        judges = self.judges
        rule, network = judges.protocol.segmenter_input, judges.segmenter.network
        truth = self.given if judges.protocol.scores_given_masks else self.samples
        targets = target_maps(
            rule, judges.segmenter.labels, judges.dataset, self.indices, truth
        ).to(judges.device)
        entered = entering(rule, self.images, (targets.shape[-2], targets.shape[-1]))
        shared = None
        if judges.shares_an_encoder is not None:
            logits, shared = logits_and_features(cast(InDomainNetwork, network), entered)
        else:
            logits = network(entered)
        # As argmax, the first of equal values, but three times faster on a CPU.
        prediction = logits.max(dim=1).indices
        return prediction, without(judges.protocol.left_out, prediction, targets), shared
