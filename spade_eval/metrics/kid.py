# SPDX-License-Identifier: Apache-2.0
"""Kernel inception distance (Bińkowski et al., ICLR 2018).

The unbiased estimate of the squared maximum mean discrepancy (Gretton et al., 2012, eq. 3) of two
sets of features under the cubic kernel (x·y / dimension + 1)³, averaged over random subsets of
equal size. Unlike FID its expectation does not depend on the number of images where both sets are
independent. Photo and image of one label map are alike, which lowers it by a term of 2/N: reports
add the value without such pairs (docs/statistics.md, section 5).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spade_eval.errors import UserError
from spade_eval.metrics.base import Column, FeatureMetric

_DEGREE = 3


@dataclass(frozen=True, kw_only=True)
class KernelDistance:
    """Mean and spread over the subsets, and what they were drawn with."""

    mean: float
    standard_deviation: float
    num_subsets: int
    subset_size: int
    seed: int


class KID(FeatureMetric):
    """The mean over subsets of the size that the originals take."""

    columns: ClassVar = {
        "kid": Column(
            label="KID",
            unit="",
            larger_is_better=False,
            description="unbiased squared maximum mean discrepancy of Inception features, cubic "
            "kernel",
        ),
    }

    def of_features(self, real: Tensor, synthesized: Tensor) -> Mapping[str, float]:
        return {"kid": kernel_distance(real, synthesized).mean}


def kernel_distance(
    real: Tensor,
    synthesized: Tensor,
    num_subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 0,
) -> KernelDistance:
    """Compute KID of (N, D) and (M, D) features, in float64 on their device.

    Subsets are drawn without replacement from each side, independently and from `seed` alone. A
    side smaller than `subset_size` makes every subset that small: the result says how large. Where
    a subset is all rows of both sides there is one, since every other would give the same number.
    """
    size = min(len(real), len(synthesized), subset_size)
    if size < 2:
        raise UserError(f"KID of subsets of {size} images, expected at least 2 on each side")
    if size == max(len(real), len(synthesized)):
        num_subsets = 1
    real, synthesized = real.double(), synthesized.double()
    generator = torch.Generator().manual_seed(seed)
    estimates = torch.empty(num_subsets, dtype=torch.float64)
    for subset in range(num_subsets):
        real_rows = torch.randperm(len(real), generator=generator)[:size]
        synthesized_rows = torch.randperm(len(synthesized), generator=generator)[:size]
        estimates[subset] = squared_discrepancy(
            real[real_rows.to(real.device)], synthesized[synthesized_rows.to(synthesized.device)]
        )
    return KernelDistance(
        mean=estimates.mean().item(),
        standard_deviation=estimates.std(correction=0).item(),
        num_subsets=num_subsets,
        subset_size=size,
        seed=seed,
    )


def squared_discrepancy(x: Tensor, y: Tensor) -> Tensor:
    """Estimate the squared MMD of (N, D) and (M, D) features without bias; may be negative."""
    return (  # Gretton et al., eq. 3
        _mean_off_diagonal(_cubic_kernel(x, x))
        + _mean_off_diagonal(_cubic_kernel(y, y))
        - 2 * _cubic_kernel(x, y).mean()
    )


def _cubic_kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1) ** _DEGREE


def _mean_off_diagonal(kernel: Tensor) -> Tensor:
    count = len(kernel)
    return (kernel.sum() - kernel.trace()) / (count * (count - 1))
