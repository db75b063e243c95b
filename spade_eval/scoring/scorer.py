# SPDX-License-Identifier: Apache-2.0
"""One source of images scored once: every batch goes through all metrics, then they compute."""

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from spade_eval.datasets.base import Sample
from spade_eval.datasets.given_maps import given_sample
from spade_eval.metrics import metric_classes
from spade_eval.metrics.base import (
    FeatureMetric,
    Metric,
    ScoredSplit,
    features_key,
    in_order,
    merged,
)
from spade_eval.metrics.counts import StoredCounts
from spade_eval.metrics.feature_set import FeatureSet, is_cached
from spade_eval.metrics.segmentation import stored_counts
from spade_eval.models.training.distributed import ALONE, World
from spade_eval.models.training.loop import prefetched
from spade_eval.progress import Progress
from spade_eval.scoring.batch import Batch, Judges
from spade_eval.scoring.distances import Distance
from spade_eval.scoring.stopping import Stopping, order_of
from spade_eval.scoring.values import Value, computed
from spade_eval.sources.image_files import ImageWriter
from spade_eval.sources.source import RealPhotos, Source, require_floats

Part = tuple[list[str], Mapping[str, Tensor]]
"""Names of the images of a batch, and the rows that metrics kept of it."""


@dataclass(frozen=True)
class Scores:
    """What one pass over a split gives; fractions in [0, 1], None for absent classes."""

    values: tuple[Value, ...]
    per_image: StoredCounts
    features: Mapping[str, FeatureSet]  # by column of the distance
    further: "tuple[Scores, ...]" = ()  # of the other draws, where there are several

    @property
    def numbers(self) -> dict[str, float | None]:
        """Numbers of the whole split, by column."""
        return {item.column: item.value for item in self.values if item.class_name is None}

    def per_class(self, column: str = "iou") -> dict[str, float | None]:
        """Return those of single classes, by name of the class."""
        of_classes = (item for item in self.values if item.column == column)
        return {item.class_name: item.value for item in of_classes if item.class_name is not None}


@dataclass(frozen=True)
class Photos:
    """What images are compared with."""

    references: Mapping[str, FeatureSet]  # of the split's photos, by column of the distance
    train_thumbnails: Tensor | None = None  # of training photos, where there are any


@dataclass(frozen=True)
class Scorer(Judges):
    """A split, a protocol and the networks that score it, in all processes of a `world`.

    Processes are dealt whole batches, so that an image keeps its batch mates and hence its bits;
    what metrics keep of them, in the order of the split, then does not know how many processes
    there were.
    """

    world: World = ALONE

    def score(
        self,
        source: Source,
        references: Mapping[str, FeatureSet],
        writer: ImageWriter | None = None,
    ) -> Scores:
        """Score the source's images in one pass, and hand them to a writer if there is one.

        `references` holds features of the photos for every distance's column.
        """
        (scores,) = score_together([self], source, [Photos(references)], writer)
        return scores

    def gathered(self, metrics: Sequence[Metric], names: Mapping[int, list[str]]) -> list[Part]:
        """Return what the metrics of all processes kept, in the order of the batches."""
        parts = {number: (names[number], rows) for number, rows in merged(metrics).items()}
        num_batches = len(parts) if self.protocol.until else self.num_batches
        batches: list[Part] = self.world.gathered(parts, num_batches)
        return batches

    def metrics(self) -> list[Metric]:
        """Return new ones: every row of METRICS that this run can compute."""
        kinds = [kind for kind in metric_classes() if not kind.of_samples]
        plain = [kind() for kind in kinds if not issubclass(kind, FeatureMetric)]
        return [*plain, *(metric for item in self.distances for metric in item.metrics)]

    def scores_of(
        self, metrics: Sequence[Metric], batches: Sequence[Part], photos: Photos
    ) -> Scores:
        """Compute the scores of a split from the batches of all processes; in the first one."""
        rows = in_order(kept for _, kept in batches)
        split = ScoredSplit(
            rows=rows,
            class_names=self.segmenter.class_names,
            class_average=self.protocol.class_average,
            features={
                item.column: FeatureSet.of(rows[features_key(item)]) for item in self.distances
            },
            references=photos.references,
            train_thumbnails=photos.train_thumbnails,
        )
        names = [name for of_batch, _ in batches for name in of_batch]
        per_image = stored_counts(names, rows["class_counts"], rows["num_ignored"])
        values = tuple(value for metric in metrics for value in computed(metric, split, {}))
        return Scores(values, per_image, split.features)

    def references(self) -> dict[str, FeatureSet]:
        """Compute features of the split's real photos for every distance, by its column."""
        return {
            item.column: self.features_of(RealPhotos(), item, "reference")
            for item in self.distances
        }

    def features_of(
        self, source: Source, distance: Distance, title: str | None = None
    ) -> FeatureSet:
        """Compute features of a source's images and no more; in the first process all of them."""
        key = features_key(distance)
        parts = {
            batch.number: {key: batch.features_for(distance)}
            for batch in self.batches(source, title)
        }
        nothing = {key: torch.empty(0, distance.feature_dim)}  # of other processes
        batches = self.world.gathered(parts, self.num_batches)
        return FeatureSet.of(in_order([nothing, *batches])[key])

    @property
    def num_batches(self) -> int:
        """Number of batches over all processes."""
        return -(-self.count // self.protocol.batch_size)

    def batches(
        self, source: Source, title: str | None = None, wanted: Collection[int] | None = None
    ) -> Iterator[Batch]:
        """Yield the source's images in this process's batches that hold one `wanted`, or all.

        Samples of the next batches are read on a thread while one is computed.
        """
        size, dealt = self.protocol.batch_size, self.world.dealt(self.num_batches)
        order = order_of(self.protocol, self.count)
        ranges = {number: order[number * size : (number + 1) * size] for number in dealt}
        mine = [
            number
            for number, indices in ranges.items()
            if wanted is None or any(index in wanted for index in indices)
        ]

        def read(place: int) -> tuple[int, Sequence[int], list[Sample], list[Sample]]:
            indices = ranges[mine[place]]
            samples = [self.dataset[index] for index in indices]
            given = [given_sample(sample, self.protocol.given_maps) for sample in samples]
            return mine[place], indices, samples, given

        with Progress(
            f"scoring {title or source.name}",
            min(self.count, len(mine) * size),
            "image",
            shown=self.world.is_first,
        ) as progress:
            for _, (number, indices, samples, given) in prefetched(read, 0, len(mine)):
                # One memory layout: kernels for another one round differently, and the images of
                # a run must score bitwise the same when they come back from their folder.
                floats = source.floats(indices, given).to(self.device).contiguous()
                yield Batch(self, number, indices, samples, given, floats)
                progress.advance(len(samples))


@dataclass(frozen=True)
class Judged:
    """What one pass over a split left: of every scorer its metrics and the parts they kept."""

    metrics: Sequence[Sequence[Metric]]
    parts: Sequence[Sequence[Part]]


def score_together(
    scorers: Sequence[Scorer],
    source: Source,
    photos: Sequence[Photos],
    writer: ImageWriter | None = None,
) -> list[Scores]:
    """Score a source by several scorers of one split and batch size: each image is made once."""
    judged = judged_together(scorers, source, writer)
    return scorers[0].world.on_first(lambda: scores_of_pass(scorers, judged, photos))


def judged_together(
    scorers: Sequence[Scorer], source: Source, writer: ImageWriter | None = None
) -> Judged:
    """Put a source's images before all metrics; nothing is computed of it yet."""
    first = scorers[0]
    if any(distance.scores_floats for scorer in scorers for distance in scorer.distances):
        require_floats(source)
    metrics, names = [scorer.metrics() for scorer in scorers], {}
    stopping = Stopping(first.protocol)
    for batch in first.batches(source):
        for scorer, own in zip(scorers, metrics, strict=True):
            judged = batch if scorer is first else dataclasses.replace(batch, judges=scorer)
            for metric in own:
                metric.update(judged)
        names[batch.number] = batch.names
        if writer is not None:
            writer.write(batch.places, batch.samples, batch.images)
        if stopping.is_met_with(batch):
            break
    gathered = [scorer.gathered(own, names) for scorer, own in zip(scorers, metrics, strict=True)]
    return Judged(metrics, gathered)


def scores_of_pass(
    scorers: Sequence[Scorer], judged: Judged, photos: Sequence[Photos]
) -> list[Scores]:
    """Compute what every scorer found; in the first process, which has all parts."""
    every = zip(scorers, judged.metrics, judged.parts, photos, strict=True)
    return [scorer.scores_of(own, parts, against) for scorer, own, parts, against in every]


def cached_features(
    path: Path, made_by: str, make: Callable[[], FeatureSet], world: World = ALONE
) -> FeatureSet:
    """Read features from a file, or make them in all processes; the first keeps them there.

    A file that states another `made_by` (the hash of photos and network), none as those of before,
    or that was changed or damaged since, is made again.
    """
    if not world.on_first(lambda: is_cached(path, made_by)):
        made = make()
        world.on_first(lambda: made.save(path, made_by))
    return FeatureSet.load(path)
