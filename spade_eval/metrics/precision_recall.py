# SPDX-License-Identifier: Apache-2.0
"""Improved precision and recall (Kynkäänniemi et al., NeurIPS 2019).

Precision is the share of synthesized features that lie in the manifold of the real ones, recall
the share of real features in the manifold of the synthesized ones; the manifold is that of their
eq. 2, rim included, and k = 3 is their choice.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from spade_eval.metrics.base import Column, FeatureMetric
from spade_eval.metrics.neighbours import squared_distances, squared_radii


class PrecisionRecall(FeatureMetric):
    """Both with k = 3."""

    networks = ("inception", "in-domain")

    columns: ClassVar = {
        "precision": Column(
            label="precision",
            unit="%",
            larger_is_better=True,
            description="share of synthesized images inside the manifold of the photos",
        ),
        "recall": Column(
            label="recall",
            unit="%",
            larger_is_better=True,
            description="share of photos inside the manifold of the synthesized images",
        ),
    }

    def of_features(self, real: Tensor, synthesized: Tensor) -> Mapping[str, float]:
        return precision_recall(real, synthesized)


def precision_recall(real: Tensor, synthesized: Tensor, k: int = 3) -> dict[str, float]:
    """Compute precision and recall in [0, 1] of (N, D) and (M, D) features, in float64."""
    return {
        "precision": _share_inside(synthesized, real, k),
        "recall": _share_inside(real, synthesized, k),
    }


def _share_inside(features: Tensor, manifold: Tensor, k: int) -> float:
    """Share of `features` within the radius of at least one feature of `manifold`."""
    radii = squared_radii(manifold, k, with_rim=True)
    # Their eq. 2: a feature is inside if it is for one ball of the manifold.
    inside = [(chunk <= radii).any(dim=1) for chunk in squared_distances(features, manifold)]
    return torch.cat(inside).double().mean().item()
