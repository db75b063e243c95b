# SPDX-License-Identifier: Apache-2.0
"""Label maps as generators are given them where a protocol says so: damaged, or with few masks.

Damaged as in SCDM (ICML 2024), whose settings are of 256x256 pixels, scored against the clean maps:
`ds` keeps every fourth pixel of a row and a column (nearest, to 64x64 and back); `edge` takes the
class from pixels that have another class within an L1 distance of 2; `random` takes it from 10% of
the pixels. Sparse as in the re-evaluation of C. Dancette (2023), scored on the masks that are given
alone: `large` are those of at least 5% of the image, `few` one to three of them.

At other sizes the factor and the distance in pixels stay. A pixel without a class is 255 and its
instance 0, so that no channel of edges tells what was taken away. What is drawn depends on the
image's name alone: it is the same for every row, run and order.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from spade_eval.datasets.base import Sample
from spade_eval.models.labels import IGNORE_INDEX

Mask = NDArray[np.bool_]
WHOLE = "whole"
"""The label maps as they are."""
DAMAGED, SPARSE = ("ds", "edge", "random"), ("large", "few")
EDGE_DISTANCE = 2
RANDOM_SHARE = 0.1
LEAST_MASK = 0.05
MOST_MASKS = 3
_FACTOR = 4
_NO_INSTANCE = 0


def given_sample(sample: Sample, how: str) -> Sample:
    """Return the sample whose maps a generator is given; the photo stays, for its style and size.

    `how` is `WHOLE`, one of `DAMAGED` or one of `SPARSE`.
    """
    if how == WHOLE:
        return sample
    if how == "ds":
        return _replaced(sample, downsampled(sample.label_map), _instances(sample, downsampled))
    absent = _ABSENT[how](sample)
    labels = np.where(absent, np.uint8(IGNORE_INDEX), sample.label_map)
    return _replaced(
        sample, labels, _instances(sample, lambda ids: np.where(absent, _NO_INSTANCE, ids))
    )


def downsampled(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """Resize (H, W) to a quarter and back, nearest as Pillow: the pixel at a target's centre."""
    down, up = zip(*(_there_and_back(side) for side in values.shape), strict=True)
    small = values[np.ix_(*down)]
    return small[np.ix_(*up)]


def near_edges(labels: NDArray[np.uint8], distance: int = EDGE_DISTANCE) -> Mask:
    """Mark (H, W) pixels that have another class within that L1 distance."""
    near = np.zeros(labels.shape, dtype=bool)
    height, width = labels.shape
    for down in range(distance + 1):
        for right in range(down - distance, distance - down + 1):
            if down >= height or abs(right) >= width or (down == 0 and right <= 0):
                continue
            here = labels[: height - down, max(0, -right) : width - max(0, right)]
            there = labels[down:, max(0, right) : width + min(0, right)]
            differs = here != there
            near[: height - down, max(0, -right) : width - max(0, right)] |= differs
            near[down:, max(0, right) : width + min(0, right)] |= differs
    return near


def masks_of(sample: Sample) -> NDArray[np.int64]:
    """Number the masks of (H, W) pixels, -1 where there is no class.

    A mask is all pixels of a class, and of an instance where there are instance maps.
    """
    keys = sample.label_map.astype(np.int64)
    if sample.instance_map is not None:
        keys = (keys << 32) + sample.instance_map
    _, numbers = np.unique(keys, return_inverse=True)
    found: NDArray[np.int64] = numbers.reshape(keys.shape).astype(np.int64)
    return np.where(sample.label_map == IGNORE_INDEX, -1, found)


def _large(sample: Sample) -> Mask:
    """Mark what is outside of all masks of 5% of the image; of none so large, the largest stays."""
    masks = masks_of(sample)
    return ~np.isin(masks, _large_masks(masks))


def _few(sample: Sample) -> Mask:
    """Mark what is outside of one to three of these masks, each number and each mask as likely."""
    masks, numbers = masks_of(sample), _numbers_of(sample)
    large = _large_masks(masks)
    count = min(int(numbers.integers(1, MOST_MASKS + 1)), len(large))
    return ~np.isin(masks, numbers.choice(large, count, replace=False))


def _random(sample: Sample) -> Mask:
    """Mark 10% of the pixels, rounded to a whole number."""
    count = round(RANDOM_SHARE * sample.label_map.size)
    absent = np.zeros(sample.label_map.size, dtype=bool)
    absent[_numbers_of(sample).permutation(absent.size)[:count]] = True
    return absent.reshape(sample.label_map.shape)


_ABSENT: Mapping[str, Callable[[Sample], Mask]] = {
    "edge": lambda sample: near_edges(sample.label_map),
    "random": _random,
    "large": _large,
    "few": _few,
}


def _large_masks(masks: NDArray[np.int64]) -> NDArray[np.int64]:
    known, sizes = np.unique(masks[masks >= 0], return_counts=True)
    large = known[sizes >= LEAST_MASK * masks.size]
    return large if len(large) or not len(known) else known[[sizes.argmax()]]


def _there_and_back(side: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return which of `side` pixels a quarter of them takes, and which of these each pixel takes.

    The source of target i is floor((i + 0.5) * scale), in whole numbers.
    """
    small = max(side // _FACTOR, 1)
    targets = np.arange(small), np.arange(side)
    down, up = (
        (2 * targets[0] + 1) * side // (2 * small),
        (2 * targets[1] + 1) * small // (2 * side),
    )
    return down, up


def _numbers_of(sample: Sample) -> np.random.Generator:
    """Return random numbers that the name of an image decides."""
    return np.random.default_rng(list(hashlib.sha256(sample.name.encode()).digest()))


def _instances(
    sample: Sample, change: Callable[[NDArray[np.int32]], NDArray[np.generic]]
) -> NDArray[np.int32] | None:
    if sample.instance_map is None:
        return None
    return change(sample.instance_map).astype(np.int32)


def _replaced(
    sample: Sample, labels: NDArray[np.generic], instances: NDArray[np.int32] | None
) -> Sample:
    return dataclasses.replace(
        sample,
        label_map=labels.astype(np.uint8),
        instance_map=instances,
        positions=None,  # those of the label map as it is stored would tell what was taken away
        is_given=True,
    )
