# SPDX-License-Identifier: Apache-2.0
"""Kernel distances (KID, MMD) without the pairs that share a label map, and with groups left out.

Photo i and image i are alike because they share a label map, so k(x_i, y_i) is larger than
k(x_i, y_j), and the estimate of Gretton et al. (2012, eq. 3), made for independent sets, is off by
-(2/N)(E k(x_i, y_i) - E k(x_i, y_j)). For pairs theirs is eq. 4, a U-statistic over i != j:

    h_ij = k(x_i, x_j) + k(y_i, y_j) - k(x_i, y_j) - k(x_j, y_i)

It has no bias at any N, and is 0 for a set against itself.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from spade_eval.reports.statistics.jackknife import NUM_GROUPS, Floats, LeftOut, groups_of

_CHUNK_ROWS = 1024


@dataclass(frozen=True)
class Kernel:
    """A kernel that is a function of the product of two features, of what is made of them before.

    With the factor by which the distance is printed.
    """

    of_products: Callable[[Floats, int], Floats]  # x·y and D -> k(x, y)
    prepared: Callable[[Floats], Floats]  # (N, D) -> (N, D)


def _cubic(products: Floats, dim: int) -> Floats:
    """k(x, y) = (x·y / D + 1)³, of KID."""
    base = products / dim + 1
    cubed: Floats = base * base * base  # NumPy's power takes ten times as long
    return cubed


def _gaussian(products: Floats, _: int) -> Floats:
    """1000 exp(-|x - y|² / (2 · 10²)) of features of length 1, of CMMD."""
    values: Floats = 1000 * np.exp((products - 1) / 10**2)
    return values


def _of_length_1(features: Floats) -> Floats:
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.maximum(lengths, np.finfo(np.float64).tiny)


CUBIC = Kernel(_cubic, lambda features: features)
GAUSSIAN = Kernel(_gaussian, _of_length_1)


def paired_sums(real: Floats, synthesized: Floats, kernel: Kernel = CUBIC) -> Floats:
    """Return (N, G) sums over j of each group, j != i, of h_ij: what pairs are judged by.

    Of K images y_i1 ... y_iK of each label map, (K N, D) draw after draw, means over them stand in
    the place of the values of y_i and y_j: images of one label map never meet.
    """
    x = kernel.prepared(real)
    draws = kernel.prepared(synthesized).reshape(-1, *real.shape)
    crossed = sum(_crossed_sums(x, draw, kernel) for draw in draws) / len(draws)
    made = sum(_off_diagonal_sums(draw, kernel) for draw in draws) / len(draws) ** 2
    for place, one in enumerate(draws):
        for other in draws[:place]:
            made += _crossed_sums(one, other, kernel) / len(draws) ** 2
    return _off_diagonal_sums(x, kernel) + made - crossed


def _crossed_sums(x: Floats, y: Floats, kernel: Kernel) -> Floats:
    """(N, G) sums over j of each group, j != i, of k(x_i, y_j) + k(x_j, y_i)."""
    sums, transposed = _group_sums(x, y, kernel)
    own = _own(kernel.of_products((x * y).sum(axis=1), x.shape[1]))
    crossed: Floats = sums + transposed - 2 * own
    return crossed


def over_all_pairs(real: Floats, synthesized: Floats, kernel: Kernel) -> float:
    """Return the estimate with its bias, means over all i and j (Gretton et al., eq. 5)."""
    x, y = kernel.prepared(real), kernel.prepared(synthesized)
    means = [
        _group_sums(one, other, kernel)[0].sum() / (len(one) * len(other))
        for one, other in ((x, x), (y, y), (x, y))
    ]
    return float(means[0] + means[1] - 2 * means[2])


def left_out_pairs(sums: Floats) -> LeftOut:
    """Leave out groups of pairs, from their `paired_sums`."""
    both = _PairSums(sums)
    return LeftOut(both.mean(), both.means_without()[None])


def kernel_influence(sums: Floats) -> Floats:
    """Return the (N,) influence of each pair, 2 (mean_j h_ij - mean h), from `paired_sums`."""
    means = sums.sum(axis=1) / (len(sums) - 1)
    influence: Floats = 2 * (means - means.mean())
    return influence


def left_out_sides(real: Floats, synthesized: Floats, kernel: Kernel = CUBIC) -> LeftOut:
    """Leave out groups of each of two independent sides in turn (Gretton et al., eq. 3)."""
    sides = kernel.prepared(real), kernel.prepared(synthesized)
    x, y = (_PairSums(_off_diagonal_sums(side, kernel)) for side in sides)
    by_made, by_real = (sums.sum(axis=0) for sums in _group_sums(*sides, kernel))  # (G,) each
    total, count = by_made.sum(), x.count * y.count
    across = total / count
    without_x = (total - by_real) / (count - x.sizes * y.count)
    without_y = (total - by_made) / (count - y.sizes * x.count)
    return LeftOut(
        x.mean() + y.mean() - 2 * across,
        np.stack(
            [
                x.means_without() + y.mean() - 2 * without_x,
                x.mean() + y.means_without() - 2 * without_y,
            ]
        ),
    )


class _PairSums:
    """Means over pairs i != j; takes (N, G) sums over j of each group."""

    def __init__(self, sums: Floats) -> None:
        self.count, self.groups, self.total = len(sums), groups_of(len(sums)), sums.sum()
        self.sizes = np.array([len(group) for group in self.groups])
        # Pairs of which one row is in the group, less those counted twice.
        self.touching = np.array(
            [2 * sums[g].sum() - sums[g, place].sum() for place, g in enumerate(self.groups)]
        )

    def mean(self) -> float:
        return float(self.total / (self.count * (self.count - 1)))

    def means_without(self) -> Floats:
        """(G,) means with one group left out."""
        rest = self.count - self.sizes
        means: Floats = (self.total - self.touching) / (rest * (rest - 1))
        return means


def _off_diagonal_sums(rows: Floats, kernel: Kernel) -> Floats:
    """(N, G) sums of k(x_i, x_j) over j of each group, j != i; k(x_i, x_j) is computed once."""
    of_rows, sums = _own(np.ones(len(rows))), np.zeros((len(rows), NUM_GROUPS))
    for start in range(0, len(rows), _CHUNK_ROWS):
        chunk, later = slice(start, start + _CHUNK_ROWS), slice(start + _CHUNK_ROWS, None)
        values = kernel.of_products(rows[chunk] @ rows[start:].T, rows.shape[1])
        sums[chunk] += values @ of_rows[start:]
        sums[later] += values[:, _CHUNK_ROWS:].T @ of_rows[chunk]
    return sums - _own(kernel.of_products((rows**2).sum(axis=1), rows.shape[1]))


def _group_sums(x: Floats, y: Floats, kernel: Kernel) -> tuple[Floats, Floats]:
    """(N, G) sums of k(x_i, y_j) over j of each group, and (M, G) over i of each group.

    Rows in chunks: the (N, M) kernel matrix is never held.
    """
    by_x, of_y = _own(np.ones(len(x))), _own(np.ones(len(y)))
    sums, transposed = [], np.zeros((len(y), NUM_GROUPS))
    for start in range(0, len(x), _CHUNK_ROWS):
        rows = slice(start, start + _CHUNK_ROWS)
        values = kernel.of_products(x[rows] @ y.T, x.shape[1])
        sums.append(values @ of_y)
        transposed += values.T @ by_x[rows]
    return np.concatenate(sums), transposed


def _own(values: Floats) -> Floats:
    """(N,) values of rows -> (N, G), each in the column of its row's group, else 0."""
    placed = np.zeros((len(values), NUM_GROUPS))
    for place, group in enumerate(groups_of(len(values))):
        placed[group, place] = values[group]
    return placed
