# SPDX-License-Identifier: Apache-2.0
"""What IoU varies with: shares of generator, segmenter, image, class and their pairs.

    y_gsic = mu + a_g + b_s + c_i + d_c + (pairs) + e_gsic

Every term is a random effect of mean 0. y is the IoU of class c in image i, of every class that the
image's label map holds, so that generators and segmenters are crossed with the same cells (i, c).
Henderson's method 1 (1953): for a factor A, T_A = sum over its levels of (sum of y)^2 / n; with
n_ab observations that share level a of A and level b of B

    E T_A = n mu^2 + sum_B k_AB sigma_B^2,    k_AB = sum_a sum_b n_ab^2 / n_a,

linear in the components, of which there are as many as factors. What is estimated below 0 is 0.
"""

from itertools import product

import numpy as np
from numpy.typing import NDArray

from spade_eval.reports.statistics.bootstrap import Floats

Labels = NDArray[np.int64]

# Factors as (generator, segmenter) x (image, class): which of each side they tell apart.
_JUDGED = {"": (0, 0), "generator": (1, 0), "segmenter": (0, 1), "generator x segmenter": (1, 1)}
_CELLS = {"": (0, 0), "image": (1, 0), "class": (0, 1), "image x class": (1, 1)}
MAIN = ("generator", "segmenter", "image", "class", "generator x segmenter")
REST = "rest"
"""All other pairs and what no pair explains."""


def variance_shares(iou: Floats, images: Labels, classes: Labels) -> dict[str, float]:
    """Return the share of each of MAIN and of the REST in the variance of IoU; they sum to 1.

    `iou` is (G, S, N) of N cells, of which `images` and `classes` (N,) say which they are. NaN
    where a factor has one level, since nothing then tells its part.
    """
    components = variance_components(iou, images, classes)
    positive = {name: max(0.0, value) for name, value in components.items() if name}
    total = sum(positive.values())
    shares = {name: positive[name] / total if total else float("nan") for name in MAIN}
    return {**shares, REST: 1 - sum(shares.values())}


def variance_components(iou: Floats, images: Labels, classes: Labels) -> dict[str, float]:
    """Return the estimated variance of each factor, as it comes out of the equations."""
    generators, segmenters, cells = iou.shape
    judged = {
        name: _levels(np.indices((generators, segmenters)).reshape(2, -1), told)
        for name, told in _JUDGED.items()
    }
    content = {name: _levels(np.stack([images, classes]), told) for name, told in _CELLS.items()}
    # Three factors at once and more are what is left: the residual takes the place of all four.
    names = [(a, b) for a, b in product(judged, content) if _order(a) + _order(b) <= 2]
    full = ("generator x segmenter", "image x class")
    flat = iou.reshape(generators * segmenters, cells)
    totals = np.array([_total(flat, judged[a], content[b]) for a, b in [*names, full]])
    matrix = np.array([
        [_overlap(judged[a], judged[c]) * _overlap(content[b], content[d])
         for c, d in [*names, full]]
        for a, b in [*names, full]
    ])  # fmt: skip
    found = np.linalg.lstsq(matrix, totals, rcond=None)[0]
    titles = [" x ".join(filter(None, pair)) for pair in [*names, full]]
    return dict(zip(titles, found.tolist(), strict=True))


def _order(name: str) -> int:
    return 0 if not name else name.count(" x ") + 1


def _levels(indices: Labels, told: tuple[int, int]) -> Labels:
    """Number the levels of a factor: (n,) of the two indices that it tells apart or not."""
    first, second = (
        row if tells else np.zeros_like(row) for row, tells in zip(indices, told, strict=True)
    )
    return np.unique(first * (second.max() + 1) + second, return_inverse=True)[1]


def _total(values: Floats, judged: Labels, content: Labels) -> float:
    """T_A: sums of (generator, segmenter) x (image, class) levels, squared over their sizes."""
    rows = np.zeros((judged.max() + 1, values.shape[1]))
    np.add.at(rows, judged, values)
    sums = np.stack([np.bincount(content, weights=row) for row in rows])
    sizes = np.outer(np.bincount(judged), np.bincount(content))
    return float((sums**2 / sizes).sum())


def _overlap(a: Labels, b: Labels) -> float:
    """k_AB: the sum over common levels of n_ab^2 / n_a."""
    common, sizes = np.unique(np.stack([a, b]), axis=1, return_counts=True)
    return float((sizes**2 / np.bincount(a)[common[0]]).sum())


def cells_of(present: NDArray[np.bool_]) -> tuple[Labels, Labels]:
    """Return image and class of every cell of (N, C) that is scored."""
    images, classes = np.nonzero(present)
    return images, classes
