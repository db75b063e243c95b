# SPDX-License-Identifier: Apache-2.0
"""Diversity of the images that a generator makes of one label map.

Of k samples per label map all k (k - 1) / 2 pairs are compared, by LPIPS (larger: more diverse) or
by MS-SSIM (smaller: more diverse); the mean over pairs is averaged over label maps. SDM and SCDM
take k = 10, 45 pairs. A generator without noise scores 0 and 1, which is a result and no fault.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from spade_eval.errors import UserError
from spade_eval.metrics.base import Column, Images, Metric, ScoredSplit, Values
from spade_eval.metrics.lpips import LPIPS
from spade_eval.metrics.ms_ssim import ms_ssim


class PairDistance(Protocol):
    """Something that compares all pairs of some images."""

    def __call__(self, samples: Tensor) -> Tensor:
        """Compare (k, 3, H, W) in [0, 1] -> (k (k - 1) / 2,) in the order of `pair_indices`."""
        ...


@dataclass(frozen=True)
class Samples:
    """Images of one label map, whose number in the split they have."""

    number: int
    images: Tensor  # (k, 3, H, W) uint8


class DiversityMetric(Metric):
    """The mean over label maps of the mean over all pairs of their samples."""

    of_samples = True

    def __init__(self, pairs: PairDistance, num_samples: int = 10) -> None:
        super().__init__()
        if num_samples < 2:
            raise UserError(
                f"diversity of {num_samples} samples a label map, expected at least 2; papers "
                "take 10"
            )
        self.pairs, self.num_samples = pairs, num_samples
        (self.column,) = self.columns

    def update(self, batch: Images) -> None:
        """Add one label map by its `Samples`."""
        if len(batch.images) != self.num_samples:
            raise ValueError(
                f"{len(batch.images)} samples of label map {batch.number}, "
                f"expected {self.num_samples}"
            )
        mean = self.pairs(batch.images.float() / 255).double().mean()
        self.keep(batch, **{self.column: mean[None]})

    def compute(self, split: ScoredSplit) -> Values:
        if self.column not in split.rows:
            raise UserError("diversity of no label map, expected at least 1")
        means = split.rows[self.column].tolist()
        # fsum is exact, whatever the order.
        return {self.column: math.fsum(means) / len(means)}


class LPIPSDiversity(DiversityMetric):
    """By LPIPS, whose network and weights the caller opens."""

    columns: ClassVar = {
        "lpips_diversity": Column(
            label="LPIPS diversity",
            unit="",
            larger_is_better=True,
            description="mean LPIPS of all pairs of samples of one label map, averaged over label "
            "maps",
        ),
    }


class STLPIPSDiversity(DiversityMetric):
    """By ST-LPIPS, where LPIPS's own weights are not there."""

    columns: ClassVar = {
        "st_lpips_diversity": Column(
            label="ST-LPIPS diversity",
            unit="",
            larger_is_better=True,
            description="mean ST-LPIPS of all pairs of samples of one label map, averaged over "
            "label maps",
        ),
    }


class MSSSIMDiversity(DiversityMetric):
    """By MS-SSIM; equal images have 1."""

    columns: ClassVar = {
        "ms_ssim_diversity": Column(
            label="MS-SSIM diversity",
            unit="",
            larger_is_better=False,
            description="mean MS-SSIM of all pairs of samples of one label map, over label maps",
        ),
    }


def pair_indices(num_samples: int) -> tuple[Tensor, Tensor]:
    """Return first and second of all pairs: (0, 1), (0, 2), ..., (k - 2, k - 1)."""
    first, second = torch.triu_indices(num_samples, num_samples, offset=1)
    return first, second


class LPIPSPairs:
    """LPIPS of all pairs; the network sees each image once."""

    def __init__(self, network: LPIPS) -> None:
        self.network = network

    @torch.inference_mode()
    def __call__(self, samples: Tensor) -> Tensor:
        """Compare (k, 3, H, W) in [0, 1] -> (k (k - 1) / 2,)."""
        described = self.network.describe(samples)
        first, second = (index.to(samples.device) for index in pair_indices(len(samples)))
        return self.network.compare(
            [layer[first] for layer in described], [layer[second] for layer in described]
        )


@torch.inference_mode()
def ms_ssim_pairs(samples: Tensor) -> Tensor:
    """Compare all pairs of (k, 3, H, W) in [0, 1] -> (k (k - 1) / 2,) MS-SSIM, float64."""
    first, second = pair_indices(len(samples))
    pairs = zip(first.tolist(), second.tolist(), strict=True)
    return torch.cat([ms_ssim(samples[i : i + 1], samples[j : j + 1]) for i, j in pairs])
