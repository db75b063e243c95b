# SPDX-License-Identifier: Apache-2.0
"""How long scoring takes: one pass from label map to scores, against the three usual steps.

The three steps are what papers do: synthesize all images into PNG files, read them back for the
segmenter, read them again for the features of the distance. All ways run the same networks on the
same samples, which are kept in memory, and end with the same numbers. "Dense" means that the
generator's layers are computed as the paper's equations; see `spade_eval.bench.networks`.
"""

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from spade_eval.batches import layout_of, semantic_map, to_unit_range
from spade_eval.bench.networks import calibrate, synthesized, twin
from spade_eval.bench.stages import shares, watched
from spade_eval.bench.timing import Clock, Row, Run, alternating
from spade_eval.datasets.base import Dataset, LabelSpace, Sample
from spade_eval.metrics.feature_set import FeatureSet
from spade_eval.models.systems.presets import plain_generator
from spade_eval.scoring.scorer import Scorer
from spade_eval.sources.image_files import ImageWriter, write_images
from spade_eval.sources.source import SynthesizedFolder

Way = Literal["one pass", "one pass, PNG kept", "three steps", "three steps, dense"]
WAYS: tuple[Way, ...] = ("one pass", "one pass, PNG kept", "three steps", "three steps, dense")
Numbers = Mapping[str, float | None]


class RepeatedSamples:
    """The first samples of a split, kept in memory and repeated under other names to a count."""

    def __init__(self, dataset: Dataset, distinct: int, count: int) -> None:
        self.name, self.split, self.size = dataset.name, dataset.split, dataset.size
        self.label_space: LabelSpace = dataset.label_space
        self.has_instances, self.layouts = dataset.has_instances, dataset.layouts
        self._samples = [dataset[index] for index in range(min(distinct, count, len(dataset)))]
        self._count, self._fingerprint = count, dataset.fingerprint()

    def __len__(self) -> int:
        return self._count

    @property
    def names(self) -> list[str]:
        return [self[index].name for index in range(self._count)]

    def __getitem__(self, index: int) -> Sample:
        turn, place = divmod(index, len(self._samples))
        sample = self._samples[place]
        return dataclasses.replace(sample, name=f"{sample.name}-{turn}")

    def training_sample(self, index: int, epoch: int, seed: int) -> Sample:
        return self[index]

    def fingerprint(self) -> str:
        return self._fingerprint


class Untrained:
    """Images of a generator with random weights, as a source: its time is that of a trained one."""

    name = "untrained"
    provenance: Mapping[str, Any] = {}
    notes: tuple[str, ...] = ()

    def __init__(self, generator: nn.Module, scorer: Scorer) -> None:
        self.generator, self.scorer = generator, scorer
        self.layout = layout_of(scorer.dataset)

    @torch.inference_mode()
    def floats(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        semantics = semantic_map(samples, self.layout, self.scorer.device)
        return to_unit_range(synthesized(self.generator, semantics))


def time_score(
    scorer: Scorer,
    references: Mapping[str, FeatureSet],
    model: str,
    *,
    width: float,
    ways: Sequence[Way],
    repeats: int,
) -> list[Row]:
    """Time each way -> a row, after a batch that is not counted; seconds are of the whole split.

    `ratio` is to the median of "three steps", None without that row; `shares` says which part of
    the time generator, segmenter, each feature network (by column) and the rest took (None of
    several processes), `written` which images became PNGs. Numbers of untrained weights mean
    nothing, but all ways must agree in them.
    """
    source = untrained(scorer, model, width)
    for batch in scorer.batches(source, "warm-up", wanted=range(1)):
        assert len(batch.images)
    runs = [_run_of(way, scorer, source, references) for way in ways]
    timings = dict(zip(ways, alternating(runs, repeats=repeats, device=scorer.device), strict=True))
    three = timings.get("three steps")
    height, width_pixels = scorer.dataset.size
    num_labels = source.layout.num_labels
    return [
        {
            "model": model,
            "way": way,
            "dataset": scorer.dataset.name,
            "images": scorer.count,
            "processes": scorer.world.size,
            "batch": scorer.protocol.batch_size,
            "height": height,
            "width": width_pixels,
            "num_labels": num_labels,
            "base_channels": getattr(source.generator.config, "base_channels", None),
            "segmenter": scorer.segmenter.title,
            "features": ", ".join(distance.title for distance in scorer.distances),
            **timing.row,
            "ratio": None if three is None else three.median / timing.median,
            "peak_mib": timing.peak_mib,
            "shares": shares(timing) if scorer.world.size == 1 else None,
            "written": "none" if way == "one pass" else "all",
            "device": scorer.device.type,
            "numbers": timing.value,
        }
        for way, timing in timings.items()
    ]


def untrained(scorer: Scorer, model: str, width: float) -> Untrained:
    """Build a new plain generator whose images are neither flat nor torn; see `calibrate`."""
    dataset = scorer.dataset
    layout = layout_of(dataset)
    generator = plain_generator(
        model, layout.num_labels, dataset.size, width, edges=layout.edges
    ).to(scorer.device)
    samples = [dataset[index] for index in range(2)]
    calibrate(generator, semantic_map(samples, layout, scorer.device))
    return Untrained(generator, scorer)


def _run_of(
    way: Way, scorer: Scorer, source: Untrained, references: Mapping[str, FeatureSet]
) -> Run[Numbers]:
    if way != "three steps, dense":
        source = Untrained(twin(source.generator, fast=True), scorer)

    def run(number: int, clock: Clock) -> Numbers:
        alone = scorer.world.size == 1  # processes send each other networks, but no watched ones
        watch = watched(scorer, source, clock) if alone else nullcontext()
        with tempfile.TemporaryDirectory() as folder, watch:
            scorer.world.on_first(lambda: None)  # processes start together
            if way.startswith("three steps"):
                return _three_steps(scorer, source, references, Path(folder), clock)
            kept = 0 if way == "one pass" else None
            with clock(), ImageWriter(Path(folder), kept) as writer:
                scores = scorer.score(source, references, writer)
            return scores.numbers

    return run


def _three_steps(
    scorer: Scorer,
    source: Untrained,
    references: Mapping[str, FeatureSet],
    folder: Path,
    clock: Clock,
) -> Numbers:
    """Every step goes through the whole split; looking for the files is not counted."""
    with clock():
        for batch in scorer.batches(source, "step 1, synthesis"):
            write_images(folder, batch.samples, batch.images)
    read = SynthesizedFolder("step 2, segmenter", folder, scorer.dataset, scorer.count, "none")
    with clock():
        scores = dataclasses.replace(scorer, distances=()).score(read, {})
        numbers = scores.numbers
        for distance in scorer.distances:
            features = scorer.features_of(read, distance, "step 3, features")
            numbers |= distance.compare(references[distance.column], features)
    return numbers
