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

from spade_eval.batches import label_maps
from spade_eval.datasets.base import Dataset, Sample
from spade_eval.distances import Distance, FeatureSet
from spade_eval.metrics import METRICS
from spade_eval.metrics.image_counts import ImageCounts
from spade_eval.metrics.segmentation import SegmentationScores
from spade_eval.protocol import Protocol as ScoringProtocol
from spade_eval.records import Measurement
from spade_eval.scoring_segmenter import ScoringSegmenter
from spade_eval.sources import RealPhotos, Source


@dataclass(frozen=True, kw_only=True)
class Value:
    """One number of a job, with the fields of `Measurement` that are its own."""

    metric: str
    class_name: str | None = None
    value: float | None
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Scores:
    """What one pass over a split gives; fractions in [0, 1], None for absent classes."""

    segmentation: Mapping[str, float]
    per_class_iou: Mapping[str, float | None]
    distances: Mapping[str, float | None]  # empty where no feature network is given
    per_image: ImageCounts


@dataclass(frozen=True)
class Scorer:
    """A split, a protocol and the networks that score it."""

    dataset: Dataset
    count: int  # the first so many samples of the split
    protocol: ScoringProtocol
    segmenter: ScoringSegmenter
    distance: Distance | None
    device: torch.device

    def score(
        self, source: Source, reference: FeatureSet | None, image_folder: Path | None = None
    ) -> Scores:
        """Score the source's images, and write them as PNG where a folder is given."""
        names = self.segmenter.class_names
        counts = SegmentationScores(len(names), averaged=self.protocol.class_average)
        per_image = ImageCounts(len(names))
        features = None if self.distance is None else self._no_features()
        for indices, samples, images in self.batches(source):
            scaled = images.to(self.device).float() / 255
            prediction = self.segment(scaled).cpu()
            targets = self.segmenter.labels.targets(label_maps(samples))
            counts.update(prediction, targets)
            per_image.update([sample.name for sample in samples], prediction, targets)
            if features is not None:
                self._add_features(features, source, indices, samples, scaled)
            if image_folder is not None:
                write_images(image_folder, samples, images)
        iou = dict(zip(names, counts.per_class_iou(), strict=True))
        distances: dict[str, float | None] = {}
        if self.distance is not None and features is not None and reference is not None:
            distances = self.distance.compare(reference, features)
        return Scores(counts.compute(), iou, distances, per_image)

    def reference(self) -> FeatureSet:
        """Features of the split's real photos."""
        real, features = RealPhotos(), self._no_features()
        for indices, samples, images in self.batches(real, title="reference"):
            scaled = images.to(self.device).float() / 255
            self._add_features(features, real, indices, samples, scaled)
        return features

    def _no_features(self) -> FeatureSet:
        assert self.distance is not None
        return FeatureSet.of(self.distance.network.feature_dim)

    def _add_features(
        self,
        features: FeatureSet,
        source: Source,
        indices: range,
        samples: list[Sample],
        images: Tensor,
    ) -> None:
        """Features of those of a batch that the profile uses."""
        assert self.distance is not None
        used = len(range(indices.start, min(indices.stop, self.distance.used_images(self.count))))
        if not used:
            return
        if self.distance.scores_floats:
            images = source.floats(indices, samples).to(self.device).contiguous()
        features.update(self.distance.features(images[:used]))

    def batches(
        self, source: Source, title: str | None = None
    ) -> Iterator[tuple[range, list[Sample], Tensor]]:
        """Indices, samples and the source's 8-bit images, whole batches in split order."""
        size = self.protocol.batch_size
        with tqdm(total=self.count, desc=f"scoring {title or source.name}", unit="image") as bar:
            for start in range(0, self.count, size):
                indices = range(start, min(start + size, self.count))
                samples = [self.dataset[index] for index in indices]
                # One memory layout: kernels for another one round differently, and the images of
                # a run must score bitwise the same when they come back from their folder.
                yield indices, samples, source.images(indices, samples).contiguous()
                bar.update(len(samples))

    @torch.inference_mode()
    def segment(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] -> (N, H, W) classes."""
        return self.segmenter.network(images).argmax(dim=1)


def write_images(folder: Path, samples: list[Sample], images: Tensor) -> None:
    """One PNG per sample, named by its stem."""
    folder.mkdir(parents=True, exist_ok=True)
    for sample, image in zip(samples, images, strict=True):
        pixels = np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy())
        Image.fromarray(pixels).save(folder / f"{sample.name}.png")


def cached_features(path: Path, make: Callable[[], FeatureSet]) -> FeatureSet:
    """Features from a file, or made and kept there."""
    if not path.is_file():
        make().save(path)
    return FeatureSet.load(path)


def values_of(
    scores: Scores, distance: Distance | None, num_images: int, reference_sha256: str
) -> list[Value]:
    """The numbers of one pass; `reference_sha256` names the photos that distances are taken to."""
    values = [Value(metric=name, value=value) for name, value in scores.segmentation.items()]
    values += [
        Value(metric="iou", class_name=name, value=value)
        for name, value in scores.per_class_iou.items()
    ]
    if distance is None:
        return values
    compared = {
        "num_reference_images": distance.used_images(num_images),
        "features": distance.title,
        "features_sha256": distance.sha256,
        "fid_profile": distance.profile_name,
        "reference_sha256": reference_sha256,
    }
    return values + [
        Value(metric=name, value=value, fields=compared) for name, value in scores.distances.items()
    ]


def measurements(values: Sequence[Value], common: Mapping[str, Any]) -> list[Measurement]:
    """The records of one job."""
    return [
        Measurement(
            metric=item.metric,
            class_name=item.class_name,
            value=item.value,
            label=METRICS[item.metric].label,
            unit=METRICS[item.metric].unit,
            larger_is_better=METRICS[item.metric].larger_is_better,
            job_size=len(values),
            **{**common, **item.fields},
        )
        for item in values
    ]
