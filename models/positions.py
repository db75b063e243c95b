# SPDX-License-Identifier: Apache-2.0
"""Where a pixel lies in its region: the positional maps of CLADE-ICPE.

Tan et al., "Efficient Semantic Image Synthesis via Class-Adaptive Normalization", TPAMI 2021: the
offset of every pixel from the centre of the connected region of its class. Plain arrays.
"""

import numpy as np
from numpy.typing import NDArray

_EPSILON = 1e-5  # a region of one row has no vertical offset to divide by


def positional_map(values: NDArray[np.integer], skipped: int = 0) -> NDArray[np.float32]:
    """Map ids (H, W) -> (2, H, W) in [-1, 1]: vertical, then horizontal offset in the region.

    A region is an 8-connected component of one id; its offsets from the centroid are divided by
    the largest. Pixels of the `skipped` id have none (0).
    """
    regions = _regions(values, skipped)
    ids = regions.ravel()
    counts = np.maximum(np.bincount(ids), 1)
    offsets = np.empty((2, *values.shape))
    for axis, place in enumerate(np.indices(values.shape).reshape(2, -1)):
        offset = place - (np.bincount(ids, place) / counts)[ids]
        largest = np.zeros(len(counts))
        np.maximum.at(largest, ids, np.abs(offset))
        offsets[axis] = (offset / (largest + _EPSILON)[ids]).reshape(values.shape)
    offsets[:, regions == 0] = 0
    return offsets.astype(np.float32)


def mirrored(positions: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the positional map (2, H, W) of the label map mirrored left to right."""
    return np.stack([positions[0, :, ::-1], -positions[1, :, ::-1]])


def _regions(values: NDArray[np.integer], skipped: int) -> NDArray[np.int64]:
    """Number the regions (H, W) from 1 on; pixels of the skipped id are 0."""
    from scipy import ndimage

    _, shifted = np.unique(values, return_inverse=True)
    shifted = shifted.reshape(values.shape) + 1
    numbers, last = np.zeros(values.shape, np.int64), 0
    for number, box in enumerate(ndimage.find_objects(shifted), start=1):
        inside = shifted[box] == number
        if values[box][inside][0] == skipped:
            continue
        components, count = ndimage.label(inside, structure=np.ones((3, 3)))
        numbers[box][inside] = components[inside] + last
        last += count
    return numbers
