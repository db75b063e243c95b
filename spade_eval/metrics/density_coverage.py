# SPDX-License-Identifier: Apache-2.0
"""Density and coverage (Naeem et al., ICML 2020, section 3).

Both use balls around real features only. Density counts in how many of them a synthesized feature
lies, so one outlier among the photos weighs little; coverage is the share of real features with a
synthesized one in their ball. Balls are open, as in the authors' code (prdc), so that density is 1
for a set against itself and copies count once; k = 5 is the paper's choice.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from spade_eval.metrics.base import Column, FeatureMetric
from spade_eval.metrics.neighbours import squared_distances, squared_radii


class DensityCoverage(FeatureMetric):
    """Both with k = 5."""

    columns: ClassVar = {
        "density": Column(
            label="density",
            unit="",
            larger_is_better=True,
            description="mean number of photo neighbourhoods around a synthesized image, over k",
        ),
        "coverage": Column(
            label="coverage",
            unit="%",
            larger_is_better=True,
            description="share of photos whose neighbourhood holds a synthesized image",
        ),
    }

    def of_features(self, real: Tensor, synthesized: Tensor) -> Mapping[str, float]:
        return density_coverage(real, synthesized)


def density_coverage(real: Tensor, synthesized: Tensor, k: int = 5) -> dict[str, float]:
    """Compute density (0 and up, 1 for a set against itself) and coverage in [0, 1], in float64."""
    radii = squared_radii(real, k, with_rim=False)
    num_balls = torch.zeros((), dtype=torch.float64)
    covered = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    for chunk in squared_distances(synthesized, real):
        inside = chunk < radii
        num_balls += inside.sum().cpu()
        covered |= inside.any(dim=0)
    return {
        "density": (num_balls / (k * len(synthesized))).item(),
        "coverage": covered.double().mean().item(),
    }
