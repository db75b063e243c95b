# SPDX-License-Identifier: Apache-2.0
"""How long scoring takes: one pass from label map to scores, against the three usual steps.

The three steps are what papers do: synthesize all images into PNG files, read them back for the
segmenter, read them again for the features of the distance. All ways run the same networks on the
same samples, which are kept in memory, and end with the same numbers. "Dense" means that the
generator's layers are computed as the paper's equations; see `spade_eval.bench.generator`.
"""

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from spade_eval.batches import layout_of, semantic_map, to_8_bit
from spade_eval.bench.generator import calibrate, latent
from spade_eval.datasets.base import Dataset, LabelSpace, Sample
from spade_eval.memory import peak_mib, reset_peak, wait_for
from spade_eval.models.fast.accelerate import set_form
from spade_eval.models.generators import build_generator, generator_config
from spade_eval.scoring.distances import FeatureSet
from spade_eval.scoring.scorer import Scorer
from spade_eval.sources.image_files import ImageWriter, write_images
from spade_eval.sources.source import SynthesizedFolder

Way = Literal["one pass", "one pass, PNG kept", "three steps", "three steps, dense"]
WAYS: tuple[Way, ...] = ("one pass", "one pass, PNG kept", "three steps", "three steps, dense")
Numbers = Mapping[str, float | None]


@dataclass(frozen=True, kw_only=True)
class ScoreTiming:
    """One row; seconds are of the whole split."""

    model: str
    way: Way
    dataset: str
    images: int
    processes: int
    batch: int
    height: int
    width: int
    num_labels: int
    base_channels: int
    segmenter: str
    features: str
    repeats: int
    seconds: float  # median
    fastest: float
    slowest: float
    ratio: float | None  # of the median of "three steps" to this one's; None without that row
    peak_mib: float | None  # of this process, or of the GPU's tensors
    written: Literal["none", "all"]  # images as PNG
    device: str
    numbers: Numbers  # of untrained weights: they mean nothing, but all ways must agree


class RepeatedSamples:
    """The first samples of a split, kept in memory and repeated under other names to a count."""

    def __init__(self, dataset: Dataset, distinct: int, count: int) -> None:
        self.name, self.split, self.size = dataset.name, dataset.split, dataset.size
        self.label_space: LabelSpace = dataset.label_space
        self.has_instances = dataset.has_instances
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
    def images(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        semantics = semantic_map(samples, self.layout, self.scorer.device)
        images = self.generator(semantics, *latent(self.generator, semantics))
        return to_8_bit(images, self.scorer.protocol)

    def floats(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        raise ValueError("bench score: expected a FID profile of 8-bit images")


def time_score(
    scorer: Scorer,
    references: Mapping[str, FeatureSet],
    model: str,
    *,
    width: float,
    ways: Sequence[Way],
    repeats: int,
) -> list[ScoreTiming]:
    """A row for each way; they take turns, after a batch that is not counted."""
    source = untrained(scorer, model, width)
    seconds: dict[Way, list[float]] = {way: [] for way in ways}
    peaks: dict[Way, list[float]] = {way: [] for way in ways}
    numbers: dict[Way, Numbers] = {}
    for batch in scorer.batches(source, "warm-up", upto=1):
        assert len(batch.images)
    for _ in range(repeats):
        for way in ways:
            set_form(source.generator, "dense" if way == "three steps, dense" else "chosen")
            reset_peak(scorer.device)
            with tempfile.TemporaryDirectory() as folder:
                taken, numbers[way] = _WAYS[way](scorer, source, references, Path(folder))
            seconds[way].append(taken)
            peaks[way].append(peak_mib(scorer.device))
    config = generator_config(model, source.layout.num_labels, scorer.dataset.size, width)
    return [
        ScoreTiming(
            model=model,
            way=way,
            dataset=scorer.dataset.name,
            images=scorer.count,
            processes=scorer.world.size,
            batch=scorer.protocol.batch_size,
            height=scorer.dataset.size[0],
            width=scorer.dataset.size[1],
            num_labels=source.layout.num_labels,
            base_channels=config.base_channels,
            segmenter=scorer.segmenter.title,
            features=", ".join(distance.title for distance in scorer.distances),
            repeats=repeats,
            seconds=statistics.median(seconds[way]),
            fastest=min(seconds[way]),
            slowest=max(seconds[way]),
            ratio=_ratio(seconds, way),
            peak_mib=max(peaks[way]) if peaks[way][0] >= 0 else None,
            written="none" if way == "one pass" else "all",
            device=scorer.device.type,
            numbers=numbers[way],
        )
        for way in ways
    ]


def untrained(scorer: Scorer, model: str, width: float) -> Untrained:
    """A new generator whose images are neither flat nor torn; see `calibrate`."""
    dataset = scorer.dataset
    layout = layout_of(dataset)
    generator = build_generator(model, layout.num_labels, dataset.size, width).to(scorer.device)
    samples = [dataset[index] for index in range(2)]
    calibrate(generator, semantic_map(samples, layout, scorer.device))
    return Untrained(generator, scorer)


def _ratio(seconds: Mapping[Way, Sequence[float]], way: Way) -> float | None:
    if "three steps" not in seconds:
        return None
    return statistics.median(seconds["three steps"]) / statistics.median(seconds[way])


def _one_pass(
    scorer: Scorer,
    source: Untrained,
    references: Mapping[str, FeatureSet],
    folder: Path,
    kept: int | None = 0,
) -> tuple[float, Numbers]:
    clock = _Clock(scorer)
    with ImageWriter(folder, kept) as writer:
        scores = scorer.score(source, references, writer)
    return clock.seconds(), {**scores.segmentation, **scores.distances}


def _one_pass_kept(
    scorer: Scorer, source: Untrained, references: Mapping[str, FeatureSet], folder: Path
) -> tuple[float, Numbers]:
    return _one_pass(scorer, source, references, folder, kept=None)


def _three_steps(
    scorer: Scorer, source: Untrained, references: Mapping[str, FeatureSet], folder: Path
) -> tuple[float, Numbers]:
    """Every step goes through the whole split; looking for the files is not counted."""
    clock = _Clock(scorer)
    for batch in scorer.batches(source, "step 1, synthesis"):
        write_images(folder, batch.samples, batch.images)
    written = clock.seconds()
    read = SynthesizedFolder("step 2, segmenter", folder, scorer.dataset, scorer.count, "none")
    clock = _Clock(scorer)
    scores = dataclasses.replace(scorer, distances=()).score(read, {})
    numbers: dict[str, float | None] = {**scores.segmentation}
    for distance in scorer.distances:
        found = scorer.features_of(read, distance, "step 3, features")
        numbers |= distance.compare(references[distance.column], found)
    return written + clock.seconds(), numbers


class _Clock:
    """Seconds until the device has done everything."""

    def __init__(self, scorer: Scorer) -> None:
        self.device = scorer.device
        scorer.world.on_first(lambda: None)  # processes start together
        wait_for(self.device)
        self.started = time.perf_counter()

    def seconds(self) -> float:
        wait_for(self.device)
        return time.perf_counter() - self.started


_Run = Callable[[Scorer, Untrained, Mapping[str, FeatureSet], Path], tuple[float, Numbers]]
_WAYS: dict[Way, _Run] = {
    "one pass": _one_pass,
    "one pass, PNG kept": _one_pass_kept,
    "three steps": _three_steps,
    "three steps, dense": _three_steps,
}
