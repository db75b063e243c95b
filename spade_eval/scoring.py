# SPDX-License-Identifier: Apache-2.0
"""One source of images scored once: images -> segmenter and feature network -> numbers."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from spade_eval.batches import label_maps
from spade_eval.datasets.base import Dataset, Sample
from spade_eval.metrics import METRICS
from spade_eval.metrics.frechet import frechet_distance
from spade_eval.metrics.image_counts import ImageCounts
from spade_eval.metrics.moments import FeatureMoments
from spade_eval.metrics.segmentation import SegmentationScores
from spade_eval.protocol import Protocol as ScoringProtocol
from spade_eval.protocol import ResolvedProtocol
from spade_eval.records import Measurement
from spade_eval.scoring_segmenter import ScoringSegmenter
from spade_eval.sources import RealPhotos, Source
from spade_eval.weights import INCEPTION


class FeatureNetwork(Protocol):
    """A network whose features a distance between image sets compares."""

    feature_dim: int

    def __call__(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] -> (N, feature_dim)."""
        ...


@dataclass(frozen=True)
class Scores:
    """What one pass over a split gives; fractions in [0, 1], None for absent classes."""

    segmentation: Mapping[str, float]
    per_class_iou: Mapping[str, float | None]
    distance: float | None  # None where no feature network is given
    per_image: ImageCounts


@dataclass(frozen=True)
class Scorer:
    """A split, a protocol and the networks that score it."""

    dataset: Dataset
    count: int  # the first so many samples of the split
    protocol: ScoringProtocol
    segmenter: ScoringSegmenter
    features: FeatureNetwork | None
    device: torch.device

    def score(
        self, source: Source, reference: FeatureMoments | None, image_folder: Path | None = None
    ) -> Scores:
        """Score the source's images, and write them as PNG where a folder is given."""
        names = self.segmenter.class_names
        counts = SegmentationScores(len(names), averaged=self.protocol.class_average)
        per_image = ImageCounts(len(names))
        moments = None if self.features is None else FeatureMoments(self.features.feature_dim)
        for samples, images in self.batches(source):
            scaled = images.to(self.device).float() / 255
            prediction = self.segment(scaled).cpu()
            targets = self.segmenter.labels.targets(label_maps(samples))
            counts.update(prediction, targets)
            per_image.update([sample.name for sample in samples], prediction, targets)
            if moments is not None:
                moments.update(self.extract(scaled))
            if image_folder is not None:
                write_images(image_folder, samples, images)
        iou = dict(zip(names, counts.per_class_iou(), strict=True))
        distance = None
        if moments is not None and reference is not None:
            distance = frechet_distance(reference, moments)
        return Scores(counts.compute(), iou, distance, per_image)

    def reference(self) -> FeatureMoments:
        """Moments of the features of the split's real photos."""
        assert self.features is not None
        moments = FeatureMoments(self.features.feature_dim)
        for _, images in self.batches(RealPhotos(), title="reference"):
            moments.update(self.extract(images.to(self.device).float() / 255))
        return moments

    def batches(
        self, source: Source, title: str | None = None
    ) -> Iterator[tuple[list[Sample], Tensor]]:
        """Samples and the source's 8-bit images, whole batches in split order."""
        size = self.protocol.batch_size
        with tqdm(total=self.count, desc=f"scoring {title or source.name}", unit="image") as bar:
            for start in range(0, self.count, size):
                indices = range(start, min(start + size, self.count))
                samples = [self.dataset[index] for index in indices]
                # One memory layout: kernels for another one round differently, and the images of
                # a run must score bitwise the same when they come back from their folder.
                yield samples, source.images(indices, samples).contiguous()
                bar.update(len(samples))

    @torch.inference_mode()
    def segment(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] -> (N, H, W) classes."""
        return self.segmenter.network(images).argmax(dim=1)

    @torch.inference_mode()
    def extract(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] -> (N, D) on the CPU."""
        assert self.features is not None
        return self.features(images).cpu()


def write_images(folder: Path, samples: list[Sample], images: Tensor) -> None:
    """One PNG per sample, named by its stem."""
    folder.mkdir(parents=True, exist_ok=True)
    for sample, image in zip(samples, images, strict=True):
        pixels = np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy())
        Image.fromarray(pixels).save(folder / f"{sample.name}.png")


def cached_moments(
    path: Path, make: Callable[[], FeatureMoments], metadata: Mapping[str, Any]
) -> FeatureMoments:
    """Moments from a file, or made and kept there with what they are."""
    if path.is_file():
        return FeatureMoments.load(path)[0]
    moments = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    moments.save(path, metadata)
    return moments


def measurements(
    scores: Scores, resolved: ResolvedProtocol, common: Mapping[str, Any], reference_sha256: str
) -> list[Measurement]:
    """The records of one job; `reference_sha256` names the photos that a distance is taken to."""
    values: list[tuple[str, str | None, float | None, dict[str, Any]]] = [
        (metric, None, value, {}) for metric, value in scores.segmentation.items()
    ]
    values += [("iou", name, value, {}) for name, value in scores.per_class_iou.items()]
    compared = {
        "num_reference_images": common["num_images"],
        "features": resolved.features,
        "features_sha256": resolved.features_sha256,
        "reference_sha256": reference_sha256,
    }
    if scores.distance is not None:
        distance = "fid" if resolved.features == INCEPTION.title else "fd_in_domain"
        values.append((distance, None, scores.distance, compared))
    return [
        Measurement(
            metric=metric,
            class_name=class_name,
            value=value,
            label=METRICS[metric].label,
            unit=METRICS[metric].unit,
            larger_is_better=METRICS[metric].larger_is_better,
            job_size=len(values),
            **{**common, **extra},
        )
        for metric, class_name, value, extra in values
    ]
