# SPDX-License-Identifier: Apache-2.0
"""Pixels inside a polygon, with those on its outline.

Pixel (row, column) is the point with those coordinates. Inside is by the even-odd rule. A polygon
need not lie within the image, nor be free of crossings.
"""

import numpy as np
from numpy.typing import NDArray


def fill_polygon(image: NDArray[np.uint16], x: NDArray[np.float64], y: NDArray[np.float64],
                 value: int) -> None:  # fmt: skip
    """Set the pixels of (H, W) inside the polygon of corners (x, y) to `value`, in place."""
    height, width = image.shape
    x_next, y_next = np.roll(x, -1), np.roll(y, -1)
    first, last = max(0, int(np.ceil(y.min()))), min(height - 1, int(np.floor(y.max())))
    for row in range(first, last + 1):
        for left, right in _spans(row, x, y, x_next, y_next):
            start, stop = max(0, int(np.ceil(left))), min(width - 1, int(np.floor(right)))
            if start <= stop:
                image[row, start : stop + 1] = value


def _spans(
    row: int,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    x_next: NDArray[np.float64],
    y_next: NDArray[np.float64],
) -> list[tuple[float, float]]:
    """Intervals of x that are inside or on the outline at height `row`."""
    # Half-open in y, so that a corner between two edges counts once.
    crosses = (np.minimum(y, y_next) <= row) & (row < np.maximum(y, y_next))
    share = (row - y[crosses]) / (y_next[crosses] - y[crosses])
    found = np.sort(x[crosses] + share * (x_next[crosses] - x[crosses]))
    spans = list(zip(found[0::2].tolist(), found[1::2].tolist(), strict=True))
    # What the half-open rule leaves out: corners, and edges that run along the row.
    on_row = y == row
    along = on_row & (y_next == row)
    spans += [(corner, corner) for corner in x[on_row].tolist()]
    left, right = np.minimum(x[along], x_next[along]), np.maximum(x[along], x_next[along])
    return spans + list(zip(left.tolist(), right.tolist(), strict=True))
