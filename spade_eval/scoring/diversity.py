# SPDX-License-Identifier: Apache-2.0
"""Diversity of a generator's images: several latents for each label map, every pair compared.

LPIPS needs its weight files, in whose place ST-LPIPS stands under its own name; MS-SSIM needs
images of at least 161 pixels a side. What cannot be computed is left out and said.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from spade_eval.datasets.base import Dataset, Sample
from spade_eval.datasets.given_maps import given_sample
from spade_eval.errors import as_user_error
from spade_eval.metrics import metric_classes
from spade_eval.metrics.base import ScoredSplit, in_order, merged
from spade_eval.metrics.diversity import (
    DiversityMetric,
    LPIPSPairs,
    PairDistance,
    Samples,
    ms_ssim_pairs,
)
from spade_eval.metrics.lpips import LPIPS
from spade_eval.metrics.ms_ssim import LEAST_SIDE
from spade_eval.metrics.st_lpips import ShiftTolerantLPIPS
from spade_eval.models.checkpoints.safe_load import load_tensors
from spade_eval.models.choices import GivenMaps
from spade_eval.models.labels import Size
from spade_eval.models.training.distributed import ALONE, World
from spade_eval.progress import followed
from spade_eval.records import sha256_of_json
from spade_eval.scoring.values import Value, computed
from spade_eval.weights import (
    ALEXNET,
    LPIPS_LINEAR,
    ST_LPIPS,
    installed,
    is_installed,
    sha256_of_weights,
)


@dataclass(frozen=True)
class Comparison:
    """One way to compare two images of the same label map."""

    metric: str  # a column of METRICS
    pairs: PairDistance
    features: str | None = None  # network and its weights, where there is one
    features_sha256: str | None = None

    def metric_of(self, num_samples: int) -> DiversityMetric:
        """Return a new metric of so many images a label map."""
        kinds = [kind for kind in metric_classes() if issubclass(kind, DiversityMetric)]
        (kind,) = (kind for kind in kinds if self.metric in kind.columns)
        return kind(self.pairs, num_samples)


def open_comparisons(size: Size, weights_dir: Path, device: torch.device) -> list[Comparison]:
    """Open LPIPS where its weights are, else ST-LPIPS; MS-SSIM where images are large enough."""
    comparisons = []
    if all(is_installed(file, weights_dir) for file in LPIPS.files):
        paths = [installed(file, weights_dir) for file in LPIPS.files]
        with as_user_error("LPIPS weights"):
            network = LPIPS(load_tensors(paths[0]), load_tensors(paths[1])).to(device)
        digest = sha256_of_json([sha256_of_weights(path) for path in paths])
        comparisons.append(
            Comparison("lpips_diversity", LPIPSPairs(network), "LPIPS AlexNet", digest)
        )
    elif is_installed(ST_LPIPS, weights_dir):
        path = installed(ST_LPIPS, weights_dir)
        with as_user_error("ST-LPIPS weights"):
            tolerant = LPIPSPairs(ShiftTolerantLPIPS(load_tensors(path)).to(device))
        comparisons.append(
            Comparison("st_lpips_diversity", tolerant, ST_LPIPS.title, sha256_of_weights(path))
        )
    if min(size) >= LEAST_SIDE:
        comparisons.append(Comparison("ms_ssim_diversity", ms_ssim_pairs))
    return comparisons


class Sampled(Protocol):
    """A source that makes several images of one label map."""

    @property
    def name(self) -> str: ...
    @property
    def device(self) -> torch.device: ...
    def samples(self, index: int, sample: Sample, count: int) -> Tensor:
        """Make (count, 3, H, W) uint8."""
        ...


def diversity(
    source: Sampled,
    dataset: Dataset,
    count: int,
    num_samples: int,
    comparisons: Sequence[Comparison],
    world: World = ALONE,
    given_maps: GivenMaps = "whole",
) -> list[Value]:
    """Average over label maps the mean over pairs, as values to be recorded.

    Images are made of `given_maps`. Label maps are dealt to the processes of `world`; each has all
    values.
    """
    metrics = [item.metric_of(num_samples) for item in comparisons]
    title = f"diversity of {source.name}"
    mine = world.dealt(count)
    for index in followed(mine, title, len(mine), "label map", shown=world.is_first):
        sample = given_sample(dataset[index], given_maps)
        images = source.samples(index, sample, num_samples).to(source.device)
        for metric in metrics:
            metric.update(Samples(index, images))
    maps = world.gathered(merged(metrics), count)
    return world.on_first(lambda: _values(comparisons, metrics, ScoredSplit(rows=in_order(maps))))


def _values(
    comparisons: Sequence[Comparison], metrics: Sequence[DiversityMetric], split: ScoredSplit
) -> list[Value]:
    return [
        value
        for comparison, metric in zip(comparisons, metrics, strict=True)
        for value in computed(
            metric,
            split,
            {
                "num_samples": metric.num_samples,
                "features": comparison.features,
                "features_sha256": comparison.features_sha256,
            },
        )
    ]


def left_out(size: Size, comparisons: Sequence[Comparison]) -> tuple[str, ...]:
    """Say where a measure of diversity is missing."""
    present = {comparison.metric for comparison in comparisons}
    notes = []
    if "lpips_diversity" not in present:
        instead = "; ST-LPIPS is another distance" if "st_lpips_diversity" in present else ""
        notes.append(
            f"LPIPS diversity is left out: {ALEXNET.file_name} and {LPIPS_LINEAR.file_name} are "
            f"not both in --weights-dir{instead}."
        )
    if "ms_ssim_diversity" not in present:
        notes.append(
            f"MS-SSIM diversity is left out: images of {size[0]}x{size[1]} are smaller than "
            f"{LEAST_SIDE} pixels, and fewer scales would be another number."
        )
    return tuple(notes)
