# SPDX-License-Identifier: Apache-2.0
"""Diversity of the images that a generator makes of one label map.

Of k samples per label map all k (k - 1) / 2 pairs are compared, by LPIPS (larger: more diverse) or
by MS-SSIM (smaller: more diverse); the mean over pairs is averaged over label maps. SDM and SCDM
take k = 10, 45 pairs. A generator without noise scores 0 and 1, which is a result and no fault.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from spade_eval.errors import UserError
from spade_eval.metrics.lpips import LPIPS
from spade_eval.metrics.ms_ssim import ms_ssim


class PairDistance(Protocol):
    """Something that compares all pairs of some images."""

    def __call__(self, samples: Tensor) -> Tensor:
        """(k, 3, H, W) in [0, 1] -> (k (k - 1) / 2,) in the order of `pair_indices`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Diversity:
    """Mean over label maps, their spread, and of how many samples and maps."""

    mean: float
    standard_deviation: float
    num_samples: int
    num_label_maps: int


class DiversityScores:
    """Streaming mean of pair distances; every label map has the same number of samples."""

    def __init__(self, distance: PairDistance, num_samples: int = 10) -> None:
        if num_samples < 2:
            raise UserError(
                f"diversity of {num_samples} samples a label map, expected at least 2; papers "
                "take 10"
            )
        self.distance = distance
        self.num_samples = num_samples
        self._means: list[float] = []

    def update(self, samples: Tensor) -> None:
        """Add one label map: (k, 3, H, W) uint8, or floats in [0, 1], made from it alone."""
        if len(samples) != self.num_samples:
            raise ValueError(
                f"{len(samples)} samples of label map {len(self._means)}, "
                f"expected {self.num_samples}"
            )
        images = samples.float() / 255 if samples.dtype == torch.uint8 else samples
        self._means.append(self.distance(images).double().mean().item())

    def merge(self, other: "DiversityScores") -> None:
        """Append the label maps of another part of the split."""
        if other.num_samples != self.num_samples:
            raise ValueError(f"cannot merge {other.num_samples} and {self.num_samples} samples")
        self._means.extend(other._means)

    def compute(self) -> Diversity:
        """The diversity of what was added."""
        if not self._means:
            raise UserError("diversity of no label map, expected at least 1")
        mean = math.fsum(self._means) / len(self._means)
        variance = math.fsum((value - mean) ** 2 for value in self._means) / len(self._means)
        return Diversity(
            mean=mean,
            standard_deviation=math.sqrt(variance),
            num_samples=self.num_samples,
            num_label_maps=len(self._means),
        )


def pair_indices(num_samples: int) -> tuple[Tensor, Tensor]:
    """First and second of all pairs: (0, 1), (0, 2), ..., (k - 2, k - 1)."""
    first, second = torch.triu_indices(num_samples, num_samples, offset=1)
    return first, second


class LPIPSPairs:
    """LPIPS of all pairs; the network sees each image once."""

    def __init__(self, network: LPIPS) -> None:
        self.network = network

    @torch.inference_mode()
    def __call__(self, samples: Tensor) -> Tensor:
        """(k, 3, H, W) in [0, 1] -> (k (k - 1) / 2,)."""
        described = self.network.describe(samples)
        first, second = (index.to(samples.device) for index in pair_indices(len(samples)))
        return self.network.compare(
            [layer[first] for layer in described], [layer[second] for layer in described]
        )


@torch.inference_mode()
def ms_ssim_pairs(samples: Tensor) -> Tensor:
    """MS-SSIM of all pairs of (k, 3, H, W) in [0, 1] -> (k (k - 1) / 2,), float64."""
    first, second = pair_indices(len(samples))
    pairs = zip(first.tolist(), second.tolist(), strict=True)
    return torch.cat([ms_ssim(samples[i : i + 1], samples[j : j + 1]) for i, j in pairs])
