# SPDX-License-Identifier: Apache-2.0
"""The kernel distance of CMMD (Jayasumana et al., CVPR 2024): of CLIP, DINOv2 and others.

    MMD² = mean k(x_i, x_j) + mean k(y_i, y_j) - 2 mean k(x_i, y_j),
    k(x, y) = exp(-|x - y|² / (2 sigma²)),   sigma = 10,   printed times 1000

of features of length 1. The paper calls its estimate unbiased; its published code
(google-research, `cmmd/distance.py`) takes means over all pairs, i = j among them: the biased one
of Gretton et al. (2012), eq. 5. Everybody's numbers come from the code, so it is what is recorded;
reports add the value without bias beside it (docs/statistics.md, section 5). Only with the paper's
own network (CLIP ViT-L/14 at 336) is the column called CMMD. The code computes in float32, which
keeps 1e-7 of means near 1: 1e-4 in what is printed. This computes in float64.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from spade_eval.metrics.base import Column, FeatureMetric

SIGMA = 10.0
SCALE = 1000.0
_CHUNK_ROWS = 1024


def _column(label: str, network: str) -> Column:
    return Column(
        label=label,
        unit="",
        larger_is_better=False,
        description=f"squared maximum mean discrepancy of features of {network}, Gaussian kernel, "
        "times 1000",
    )


class MMD(FeatureMetric):
    """The distance of features of one network, at the head of a column of its own."""

    def of_features(self, real: Tensor, synthesized: Tensor) -> Mapping[str, float]:
        """Compute it, of (N, D) and (M, D) features of any length."""
        (name,) = self.columns
        return {name: SCALE * squared_discrepancy(real, synthesized)}


class CLIPMMD(MMD):
    """The one that the paper is about."""

    columns: ClassVar = {"mmd_clip": _column("MMD (CLIP)", "CLIP")}
    networks = ("clip",)


class DINOv2MMD(MMD):
    """The same of a network that has seen no captions."""

    columns: ClassVar = {"mmd_dinov2": _column("MMD (DINOv2)", "DINOv2")}
    networks = ("dinov2",)


class OtherMMD(MMD):
    """The same of a network that the user chose."""

    columns: ClassVar = {"mmd_hf": _column("MMD (hf)", "a Hugging Face model")}
    networks = ("hf",)


def squared_discrepancy(x: Tensor, y: Tensor) -> float:
    """Estimate the squared MMD of (N, D) and (M, D) features with its bias; at least 0."""
    x, y = (F.normalize(side.double(), dim=1) for side in (x, y))
    value = _mean_kernel(x, x) + _mean_kernel(y, y) - 2 * _mean_kernel(x, y)  # Gretton et al., 5
    return max(value, 0.0)  # a square: rounding alone takes it below


def _mean_kernel(x: Tensor, y: Tensor) -> float:
    """Mean of k over all pairs, of unit vectors: |x - y|² = 2 - 2 x·y. Rows in chunks."""
    sums = [((rows @ y.T - 1) / SIGMA**2).exp().sum() for rows in x.split(_CHUNK_ROWS)]
    return torch.stack(sums).sum().item() / (len(x) * len(y))
