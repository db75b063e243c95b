# SPDX-License-Identifier: Apache-2.0
"""Distances to nearest neighbours, shared by the metrics that approximate a set by balls.

A set's manifold is the union of balls around its features, each reaching to the k-th nearest other
feature of the set. Distances are sums of squared differences, not |x|² - 2x·y + |y|²: so d(x, y) is
the same number wherever it is computed, and ties (copies of an image, a feature on the rim of a
ball) fall the same way in any order and chunk.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from spade_eval.errors import UserError

_CHUNK_ROWS = 512


def distances(x: Tensor, y: Tensor) -> Iterator[Tensor]:
    """Euclidean distances of (N, D) to (M, D) features, some rows of (N, M) at a time."""
    x, y = x.double(), y.double()
    for chunk in x.split(_CHUNK_ROWS):
        yield torch.cdist(chunk, y, compute_mode="donot_use_mm_for_euclid_dist")


def neighbour_radii(features: Tensor, k: int) -> Tensor:
    """(N,) distance of every feature to the k-th nearest other one."""
    if not 1 <= k < len(features):
        raise UserError(
            f"nearest neighbour {k} of {len(features)} images, expected 1..{len(features) - 1}; "
            "score more images or lower k"
        )
    # A feature is its own nearest neighbour, at distance 0: the k-th other one is the (k+1)-th.
    radii = [chunk.kthvalue(k + 1, dim=1).values for chunk in distances(features, features)]
    return torch.cat(radii)
