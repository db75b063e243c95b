# SPDX-License-Identifier: Apache-2.0
"""Several images of each label map: what they are called, and counts over all of them.

A *draw* holds one image of every label map. Papers that make K of them report three numbers, which
are not the same: counts or features *pooled* over the draws, the *mean* of the draws' scores, and
the first draw alone. Each has a column of its own: `fid` is of the first draw, as a row of one
image a label map has it, then come `fid_pooled`, `fid_mean`, `fid_draw_2` and so on.

The *best* of K takes of each label map the image whose pixels are right most often. It is chosen
with the very truth that scores it: an oracle, and no result of a generator. No torch here, since
reports and bundles read counts, too.
"""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spade_eval.errors import UserError
from spade_eval.metrics.counts import StoredCounts

POOLED, MEAN, BEST = "pooled", "mean", "best"
_OVER = re.compile(r"(?P<base>.+)_(?P<over>pooled|mean|best|draw_\d+)")
_MOST = np.iinfo(np.uint32).max


def draw_name(number: int) -> str:
    """Name a draw, of which 1 is the first."""
    return f"draw {number}"


def column_over(column: str, over: str) -> str:
    """Return what records call a column over several draws: `fid_pooled`, `miou_draw_2`."""
    return f"{column}_{over.replace(' ', '_')}"


def base_of(column: str) -> str:
    """Return the column that one image a label map would have: `fid` of `fid_pooled`."""
    found = _OVER.fullmatch(column)
    return column if found is None else found["base"]


def over_of(column: str) -> str | None:
    """Return over what a column is, as "pooled" or "draw 2"; None: the first draw, or the only."""
    found = _OVER.fullmatch(column)
    return None if found is None else found["over"].replace("_", " ")


def of_draw(number: int) -> str:
    """Return what the name of a file of a draw ends in; nothing for the first."""
    return "" if number == 1 else f"-{draw_name(number).replace(' ', '-')}"


def pooled_counts(draws: Sequence[StoredCounts]) -> StoredCounts:
    """Add the counts of the draws, label map by label map.

    What is drawn again by a bootstrap is then a label map with all its images.
    """
    first = _of_same_maps(draws)
    total: NDArray[np.int64] = sum(draw.counts.astype(np.int64) for draw in draws)  # type: ignore[assignment]
    ignored: NDArray[np.int64] = sum(draw.num_ignored.astype(np.int64) for draw in draws)  # type: ignore[assignment]
    if max(total.max(initial=0), ignored.max(initial=0)) > _MOST:
        raise UserError(f"{len(draws)} draws hold more pixels than counts of 32 bits; score fewer")
    counts, num_ignored = total.astype(np.uint32), ignored.astype(np.uint32)
    return StoredCounts(first.names, counts, num_ignored, first.ignore_index)


def best_counts(draws: Sequence[StoredCounts]) -> StoredCounts:
    """Take of every label map the draw with the most correct pixels; the first of equal ones."""
    first = _of_same_maps(draws)
    correct = np.stack([draw.intersection.sum(axis=1, dtype=np.int64) for draw in draws])
    chosen, maps = correct.argmax(axis=0), np.arange(len(first))
    counts = np.stack([draw.counts for draw in draws])[chosen, maps]
    return StoredCounts(first.names, counts, first.num_ignored, first.ignore_index)


def _of_same_maps(draws: Sequence[StoredCounts]) -> StoredCounts:
    first = draws[0]
    for draw in draws[1:]:
        if draw.names != first.names or draw.counts.shape != first.counts.shape:
            raise UserError(
                "draws of one row were counted on other label maps or in other classes, expected "
                "the same; score the row again"
            )
    return first
