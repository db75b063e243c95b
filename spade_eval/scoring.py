# SPDX-License-Identifier: Apache-2.0
"""One source of images scored once: images -> segmenter and feature network -> numbers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from models.training.distributed import ALONE, World
from reports.files import written_whole
from spade_eval.datasets.base import Dataset, Sample
from spade_eval.distances import Distance, FeatureSet
from spade_eval.metrics import METRICS
from spade_eval.metrics.image_counts import ImageCounts
from spade_eval.metrics.segmentation import SegmentationScores
from spade_eval.protocol import Protocol as ScoringProtocol
from spade_eval.records import Measurement
from spade_eval.scoring_segmenter import ScoringSegmenter
from spade_eval.segmenter_input import entering, target_maps
from spade_eval.sources import RealPhotos, Source


@dataclass(frozen=True, kw_only=True)
class Value:
    """One number of a job, with the fields of `Measurement` that are its own."""

    metric: str  # a row of METRICS
    column: str = ""  # what the record calls it where the row has several columns
    class_name: str | None = None
    value: float | None
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Scores:
    """What one pass over a split gives; fractions in [0, 1], None for absent classes."""

    segmentation: Mapping[str, float]
    per_class_iou: Mapping[str, float | None]
    distances: Mapping[str, float | None]  # by column
    per_image: ImageCounts
    features: Mapping[str, FeatureSet] = field(default_factory=dict)  # by column of the distance


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
        image_folder: Path | None = None,
    ) -> Scores:
        """Score the source's images, and write them as PNG where a folder is given.

        `references` holds features of the photos for the column of every distance.
        """
        names = self.segmenter.class_names
        counts = SegmentationScores(len(names), averaged=self.protocol.class_average)
        parts: dict[int, BatchScores] = {}
        for number, indices, samples, images in self.batches(source):
            on_device = images.to(self.device)
            prediction, targets = self.segmented(indices, samples, on_device)
            counts.update(prediction, targets)
            per_image = ImageCounts(len(names))
            per_image.update([sample.name for sample in samples], prediction, targets)
            features = [
                self._features(distance, source, indices, samples, on_device)
                for distance in self.distances
            ]
            parts[number] = BatchScores(per_image, features)
            if image_folder is not None:
                write_images(image_folder, samples, images)
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
        real, parts = RealPhotos(), {}
        for number, indices, samples, images in self.batches(real, title="reference"):
            on_device = images.to(self.device)
            parts[number] = self._features(distance, real, indices, samples, on_device)
        return _feature_set(distance, self.world.gathered(parts, self.num_batches))

    def _features(
        self,
        distance: Distance,
        source: Source,
        indices: range,
        samples: list[Sample],
        images: Tensor,
    ) -> Tensor:
        """Features of those of a batch of 8-bit images that the profile uses."""
        used = len(range(indices.start, min(indices.stop, distance.used_images(self.count))))
        if not used:
            return torch.empty(0, distance.network.feature_dim)
        scaled = images.float() / 255
        if distance.scores_floats:
            scaled = source.floats(indices, samples).to(self.device).contiguous()
        return distance.features(scaled[:used])

    @property
    def num_batches(self) -> int:
        """Over all processes."""
        return -(-self.count // self.protocol.batch_size)

    def batches(
        self, source: Source, title: str | None = None
    ) -> Iterator[tuple[int, range, list[Sample], Tensor]]:
        """Number, indices, samples and the source's 8-bit images of this process's batches."""
        size, mine = self.protocol.batch_size, self.world.dealt(self.num_batches)
        with tqdm(
            total=min(self.count, len(mine) * size),
            desc=f"scoring {title or source.name}",
            unit="image",
            disable=not self.world.is_first,
        ) as bar:
            for number in mine:
                indices = range(number * size, min((number + 1) * size, self.count))
                samples = [self.dataset[index] for index in indices]
                # One memory layout: kernels for another one round differently, and the images of
                # a run must score bitwise the same when they come back from their folder.
                yield number, indices, samples, source.images(indices, samples).contiguous()
                bar.update(len(samples))

    @torch.inference_mode()
    def segmented(
        self, indices: range, samples: list[Sample], images: Tensor
    ) -> tuple[Tensor, Tensor]:
        """8-bit images (N, 3, H, W) -> predicted and true classes at the protocol's size."""
        rule = self.protocol.segmenter_input
        targets = target_maps(rule, self.segmenter.labels, self.dataset, indices, samples)
        entered = entering(rule, images, (targets.shape[-2], targets.shape[-1]))
        return self.segmenter.network(entered).argmax(dim=1).cpu(), targets


def write_images(folder: Path, samples: list[Sample], images: Tensor) -> None:
    """One PNG per sample, named by its stem; never changed in place: pages link to them."""
    for sample, image in zip(samples, images, strict=True):
        pixels = np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy())
        with written_whole(folder / f"{sample.name}.png") as temporary:
            Image.fromarray(pixels).save(temporary, format="PNG")


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


def values_of(
    scores: Scores,
    distances: Sequence[Distance],
    num_images: int,
    references_sha256: Mapping[str, str],
) -> list[Value]:
    """The numbers of one pass; `references_sha256` names, by column, the photos compared with."""
    values = [Value(metric=name, value=value) for name, value in scores.segmentation.items()]
    values += [
        Value(metric="iou", class_name=name, value=value)
        for name, value in scores.per_class_iou.items()
    ]
    for distance in distances:
        compared = {
            "num_reference_images": distance.used_images(num_images),
            "features": distance.title,
            "features_sha256": distance.sha256,
            "fid_profile": distance.profile_name,
            "reference_sha256": references_sha256[distance.column],
        }
        values += [
            Value(
                metric=name,
                column=column,
                value=scores.distances[column],
                fields=compared,
            )
            for name, column in distance.columns.items()
        ]
    return values


def measurements(values: Sequence[Value], common: Mapping[str, Any]) -> list[Measurement]:
    """The records of one job."""
    return [
        Measurement(
            metric=item.column or item.metric,
            class_name=item.class_name,
            value=item.value,
            label=_label(item),
            unit=METRICS[item.metric].unit,
            larger_is_better=METRICS[item.metric].larger_is_better,
            job_size=len(values),
            **{**common, **item.fields},
        )
        for item in values
    ]


def _label(item: Value) -> str:
    label = METRICS[item.metric].label
    if item.column in ("", item.metric):
        return label
    return f"{label} ({item.fields['fid_profile']})"
