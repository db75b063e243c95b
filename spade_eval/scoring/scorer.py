# SPDX-License-Identifier: Apache-2.0
"""One source of images scored once: images -> segmenter and feature network -> numbers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import torch
from torch import Tensor
from tqdm import tqdm

from spade_eval.datasets.base import Dataset, Sample
from spade_eval.metrics.image_counts import ImageCounts
from spade_eval.metrics.segmentation import SegmentationScores, image_confusions
from spade_eval.models.training.distributed import ALONE, World
from spade_eval.models.training.loop import prefetched
from spade_eval.protocol import Protocol as ScoringProtocol
from spade_eval.scoring.distances import Distance, FeatureSet
from spade_eval.scoring.segmenter import ScoringSegmenter
from spade_eval.scoring.segmenter_input import entering, target_maps
from spade_eval.segmenters.in_domain import InDomainFeatures, InDomainSegmenter, logits_and_features
from spade_eval.sources.image_files import ImageWriter
from spade_eval.sources.source import RealPhotos, Source


@dataclass(frozen=True)
class Scores:
    """What one pass over a split gives; fractions in [0, 1], None for absent classes."""

    segmentation: Mapping[str, float]
    per_class_iou: Mapping[str, float | None]
    distances: Mapping[str, float | None]  # by column
    per_image: ImageCounts
    features: Mapping[str, FeatureSet] = field(default_factory=dict)  # by column of the distance


@dataclass(frozen=True)
class Batch:
    """Images that are scored together."""

    number: int  # of the batch in the split
    indices: range
    samples: list[Sample]
    images: Tensor  # (N, 3, H, W) uint8, on the device


@dataclass(frozen=True)
class BatchScores:
    """What one batch adds to the scores of a split."""

    per_image: ImageCounts
    features: list[Tensor]  # for every distance (N, D), N the images that it uses


@dataclass(frozen=True)
class Scorer:
    """A split, a protocol and the networks that score it.

    Processes of a `world` are dealt whole batches, so that an image keeps its batch mates and hence
    its bits; sums of counts and features in the order of the split then do not know how many
    processes there were.
    """

    dataset: Dataset
    count: int  # the first so many samples of the split
    protocol: ScoringProtocol
    segmenter: ScoringSegmenter
    distances: tuple[Distance, ...]
    device: torch.device
    world: World = ALONE

    def score(
        self,
        source: Source,
        references: Mapping[str, FeatureSet],
        writer: ImageWriter | None = None,
    ) -> Scores:
        """Score the source's images in one pass, and hand them to a writer if there is one.

        Images stay on the device: as 8 bit, which a PNG would hold, they go to the segmenter and to
        the feature networks. `references` holds features of the photos for every distance's column.
        """
        names = self.segmenter.class_names
        counts = SegmentationScores(len(names), averaged=self.protocol.class_average)
        parts: dict[int, BatchScores] = {}
        for batch in self.batches(source):
            prediction, targets, features = self._judged(source, batch)
            confusions = image_confusions(prediction, targets, len(names))
            counts.add(confusions)
            per_image = ImageCounts(len(names))
            per_image.add([sample.name for sample in batch.samples], confusions)
            parts[batch.number] = BatchScores(per_image, features)
            if writer is not None:
                writer.write(batch.indices, batch.samples, batch.images)
        counts.load_state(
            {name: self.world.summed(count) for name, count in counts.state().items()}
        )
        batches = self.world.gathered(parts, self.num_batches)
        return self.world.on_first(lambda: self._scores(counts, batches, references))

    def _scores(
        self,
        counts: SegmentationScores,
        batches: Sequence[BatchScores],
        references: Mapping[str, FeatureSet],
    ) -> Scores:
        """The scores of a split from the counts and the batches of all processes."""
        per_image = ImageCounts(counts.num_classes)
        for batch in batches:
            per_image.merge(batch.per_image)
        iou = dict(zip(self.segmenter.class_names, counts.per_class_iou(), strict=True))
        distances: dict[str, float | None] = {}
        features: dict[str, FeatureSet] = {}
        for index, distance in enumerate(self.distances):
            made = _feature_set(distance, [batch.features[index] for batch in batches])
            distances |= distance.compare(references[distance.column], made)
            features[distance.column] = made
        return Scores(counts.compute(), iou, distances, per_image, features)

    def references(self) -> dict[str, FeatureSet]:
        """Features of the split's real photos for every distance, by its column."""
        return {distance.column: self.reference(distance) for distance in self.distances}

    def reference(self, distance: Distance) -> FeatureSet:
        """Features of the split's real photos; in the first process all of them."""
        return self.features_of(RealPhotos(), distance, title="reference")

    def features_of(
        self, source: Source, distance: Distance, title: str | None = None
    ) -> FeatureSet:
        """Features of a source's images and nothing else; in the first process all of them."""
        parts = {
            batch.number: self._features(distance, source, batch, _scaled(batch.images))
            for batch in self.batches(source, title)
        }
        return _feature_set(distance, self.world.gathered(parts, self.num_batches))

    @property
    def num_batches(self) -> int:
        """Over all processes."""
        return -(-self.count // self.protocol.batch_size)

    def batches(
        self, source: Source, title: str | None = None, upto: int | None = None
    ) -> Iterator[Batch]:
        """The source's images in this process's batches, those that hold the first `upto`.

        Samples of the next batches are read on a thread while one is computed.
        """
        size, stop = self.protocol.batch_size, self.count if upto is None else upto
        mine = [number for number in self.world.dealt(self.num_batches) if number * size < stop]

        def read(place: int) -> tuple[int, range, list[Sample]]:
            indices = range(mine[place] * size, min((mine[place] + 1) * size, self.count))
            return mine[place], indices, [self.dataset[index] for index in indices]

        with tqdm(
            total=min(self.count, len(mine) * size),
            desc=f"scoring {title or source.name}",
            unit="image",
            disable=not self.world.is_first,
        ) as bar:
            for _, (number, indices, samples) in prefetched(read, 0, len(mine)):
                # One memory layout: kernels for another one round differently, and the images of
                # a run must score bitwise the same when they come back from their folder.
                images = source.images(indices, samples).to(self.device).contiguous()
                yield Batch(number, indices, samples, images)
                bar.update(len(samples))

    @torch.inference_mode()
    def _judged(self, source: Source, batch: Batch) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Predicted and true classes at the protocol's size, and features for every distance."""
        rule, network = self.protocol.segmenter_input, self.segmenter.network
        targets = target_maps(
            rule, self.segmenter.labels, self.dataset, batch.indices, batch.samples
        ).to(self.device)
        entered = entering(rule, batch.images, (targets.shape[-2], targets.shape[-1]))
        if self._share_an_encoder:
            logits, shared = logits_and_features(cast(InDomainSegmenter, network), entered)
            features = [shared.cpu()]
        else:
            logits, scaled = network(entered), _scaled(batch.images)
            features = [self._features(item, source, batch, scaled) for item in self.distances]
        # As argmax, the first of equal values, but three times faster on a CPU.
        return logits.max(dim=1).indices, targets, features

    @property
    def _share_an_encoder(self) -> bool:
        """Whether the only distance compares maps that the segmenter makes on its way."""
        networks = [distance.network for distance in self.distances]
        return (
            self.protocol.segmenter_input.filter == "none"
            and len(networks) == 1
            and isinstance(networks[0], InDomainFeatures)
            and networks[0].segmenter is self.segmenter.network
        )

    def _features(self, distance: Distance, source: Source, batch: Batch, scaled: Tensor) -> Tensor:
        """Features of those images of a batch, 8 bit in [0, 1], that the profile uses."""
        used = len(
            range(batch.indices.start, min(batch.indices.stop, distance.used_images(self.count)))
        )
        if not used:
            return torch.empty(0, distance.network.feature_dim)
        if distance.scores_floats:
            scaled = source.floats(batch.indices, batch.samples).to(self.device).contiguous()
        return distance.features(scaled[:used])


def _scaled(images: Tensor) -> Tensor:
    """8 bit -> [0, 1]."""
    return images.float() / 255


def cached_features(path: Path, make: Callable[[], FeatureSet], world: World = ALONE) -> FeatureSet:
    """Features from a file, or made by all processes and kept there by the first."""
    if not world.on_first(path.is_file):
        made = make()
        world.on_first(lambda: made.save(path))
    return FeatureSet.load(path)


def _feature_set(distance: Distance, parts: Sequence[Tensor]) -> FeatureSet:
    features = FeatureSet.of(distance.network.feature_dim)
    for part in parts:
        features.update(part)
    return features
