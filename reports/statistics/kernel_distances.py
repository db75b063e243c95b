# SPDX-License-Identifier: Apache-2.0
"""The kernel distance (KID) without the pairs that share a label map, and with groups left out.

Photo i and image i are alike because they share a label map, so k(x_i, y_i) is larger than
k(x_i, y_j), and the estimate of Gretton et al. (2012, eq. 3), made for independent sets, is off by
-(2/N)(E k(x_i, y_i) - E k(x_i, y_j)). For pairs theirs is eq. 4, a U-statistic over i != j:

    h_ij = k(x_i, x_j) + k(y_i, y_j) - k(x_i, y_j) - k(x_j, y_i)

It has no bias at any N, and is 0 for a set against itself.
"""

import numpy as np

from spade_eval.reports.statistics.jackknife import NUM_GROUPS, Floats, LeftOut, groups_of

_CHUNK_ROWS = 1024


def left_out_kernel(real: Floats, synthesized: Floats, *, paired: bool) -> LeftOut:
    """Leave out groups of pairs, or of each side in turn, from sums over the kernel matrices."""
    if paired:
        both = _PairSums(_paired_sums(real, synthesized))
        return LeftOut(both.mean(), both.means_without()[None])
    x, y = (_PairSums(_off_diagonal_sums(side)) for side in (real, synthesized))
    crossed = _group_sums(real, synthesized)  # (N, G)
    without_x = np.array([np.delete(crossed, group, axis=0).mean() for group in x.groups])
    without_y = (crossed.sum() - crossed.sum(axis=0)) / len(real)
    num_left = [len(synthesized) - len(group) for group in y.groups]
    across = crossed.sum() / len(real) / len(synthesized)
    return LeftOut(
        x.mean() + y.mean() - 2 * across,
        np.stack(
            [
                x.means_without() + y.mean() - 2 * without_x * NUM_GROUPS / len(synthesized),
                x.mean() + y.means_without() - 2 * without_y / num_left,
            ]
        ),
    )


def kernel_influence(real: Floats, synthesized: Floats) -> Floats:
    """Return the (N,) influence of each pair, 2 (mean_j h_ij - mean h), of mean 0."""
    sums = _paired_sums(real, synthesized).sum(axis=1) / (len(real) - 1)
    influence: Floats = 2 * (sums - sums.mean())
    return influence


class _PairSums:
    """Means over pairs i != j; takes (N, G) sums over j of each group."""

    def __init__(self, sums: Floats) -> None:
        self.count, self.groups, self.total = len(sums), groups_of(len(sums)), sums.sum()
        # Pairs of which one row is in the group, less those counted twice.
        self.touching = np.array(
            [2 * sums[g].sum() - sums[g, place].sum() for place, g in enumerate(self.groups)]
        )

    def mean(self) -> float:
        return float(self.total / (self.count * (self.count - 1)))

    def means_without(self) -> Floats:
        """(G,) means with one group left out."""
        rest = self.count - np.array([len(group) for group in self.groups])
        means: Floats = (self.total - self.touching) / (rest * (rest - 1))
        return means


def _paired_sums(real: Floats, synthesized: Floats) -> Floats:
    """(N, G) sums over j of each group, j != i, of h_ij."""
    crossed = _group_sums(real, synthesized) + _group_sums(synthesized, real)
    crossed -= 2 * _own(_cubic((real * synthesized).sum(axis=1), real.shape[1]))
    return _off_diagonal_sums(real) + _off_diagonal_sums(synthesized) - crossed


def _off_diagonal_sums(rows: Floats) -> Floats:
    """(N, G) sums of k(x_i, x_j) over j of each group, j != i."""
    return _group_sums(rows, rows) - _own(_cubic((rows**2).sum(axis=1), rows.shape[1]))


def _group_sums(x: Floats, y: Floats) -> Floats:
    """(N, G) sums of k(x_i, y_j) over j of each group; rows in chunks, N x M is never held."""
    members = _own(np.ones(len(y)))
    chunks = (x[start : start + _CHUNK_ROWS] for start in range(0, len(x), _CHUNK_ROWS))
    return np.concatenate([_cubic(chunk @ y.T, x.shape[1]) @ members for chunk in chunks])


def _own(values: Floats) -> Floats:
    """(N,) values of rows -> (N, G), each in the column of its row's group, else 0."""
    placed = np.zeros((len(values), NUM_GROUPS))
    for place, group in enumerate(groups_of(len(values))):
        placed[group, place] = values[group]
    return placed


def _cubic(products: Floats, dim: int) -> Floats:
    """k(x, y) = (x·y / D + 1)³."""
    cubed: Floats = (products / dim + 1) ** 3
    return cubed
