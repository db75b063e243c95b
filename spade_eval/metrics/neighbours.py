# SPDX-License-Identifier: Apache-2.0
"""Balls around features, shared by the metrics that approximate a set by its neighbourhoods.

Each ball reaches to the k-th nearest other feature of its set; whether its rim belongs to it, the
authors of the metrics decide differently. Squared distances are computed as |x|² - 2x·y + |y|² in
float64, 25 times faster than sums of squared differences but rounded differently in every place. So
each ball is larger or smaller by a slack far above the rounding and far below any real difference:
copies of an image and features on a rim are all inside or all outside, in any order and chunk.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from spade_eval.errors import UserError

_CHUNK_ROWS = 1024
# Of the largest squared distance to the mean; rounding is at about 1e-15 of it.
_RELATIVE_SLACK = 1e-10


def squared_distances(x: Tensor, y: Tensor) -> Iterator[Tensor]:
    """Yield squared Euclidean distances of (N, D) to (M, D) features, some rows at a time."""
    centre = y.double().mean(dim=0)  # an offset common to all features would cost digits
    x, y = x.double() - centre, y.double() - centre
    y_norms = y.square().sum(dim=1)
    for chunk in x.split(_CHUNK_ROWS):
        yield chunk.square().sum(dim=1, keepdim=True) - 2 * chunk @ y.T + y_norms


def squared_radii(features: Tensor, k: int, *, with_rim: bool) -> Tensor:
    """Return (N,) squared distances of features to their k-th nearest other one.

    The slack is added where the rim is inside (`with_rim`), and taken off where it is not.
    """
    if not 1 <= k < len(features):
        raise UserError(
            f"nearest neighbour {k} of {len(features)} images, expected 1..{len(features) - 1}; "
            "score more images or lower k"
        )
    centred = features.double() - features.double().mean(dim=0)
    slack = _RELATIVE_SLACK * centred.square().sum(dim=1).max()
    # A feature is its own nearest neighbour, at distance 0: the k-th other one is the (k+1)-th.
    chunks = squared_distances(features, features)
    radii = torch.cat([chunk.kthvalue(k + 1, dim=1).values for chunk in chunks])
    return radii + slack if with_rim else radii - slack
