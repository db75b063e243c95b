# SPDX-License-Identifier: Apache-2.0
"""Per-image class counts of a scored split, and the scores that are functions of them.

Intersection, target and prediction pixels of each class in each image are all that a bootstrap over
images needs to recompute mIoU and accuracy on a resampled split, or to pair two methods image by
image. As uint32 they take 12 bytes per image and class: 11 MB for COCO-Stuff val, before
compression. `spade_eval.metrics.segmentation` counts them on the device; here is no torch, since
reports, intervals and bundles read them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spade_eval.errors import UserError
from spade_eval.metrics.arrays import read_arrays, require_array, write_arrays

Counts = NDArray[np.uint32]

ClassAverage = Literal["target", "union", "all"]
"""Which classes enter the mean IoU: those of the ground truth, those of the ground truth or a
prediction, or every class."""


@dataclass(frozen=True)
class StoredCounts:
    """Intersection, target and prediction pixels of each class in each image of a split."""

    names: tuple[str, ...]  # of the images, in the order of scoring
    counts: Counts  # (N, 3, C)
    num_ignored: Counts  # (N,): pixels of the ground truth that are not scored
    ignore_index: int = 255

    @classmethod
    def load(cls, path: Path) -> "StoredCounts":
        """Read the .npz that `save` wrote; `UserError` for any other file."""
        stored = read_arrays(
            path, ("names", "ignore_index", "counts", "num_ignored"), "per-image counts"
        )
        counts, ignored = stored["counts"], stored["num_ignored"]
        if stored["names"].ndim != 1 or stored["names"].dtype.kind != "U":
            raise UserError(
                f"{path}: names are {stored['names'].dtype} of shape {stored['names'].shape}, "
                "expected a list of text; score the row again"
            )
        require_array(stored["ignore_index"], (), "iu", path, "ignore_index")
        num_images = len(stored["names"])
        expected = (num_images, 3, *counts.shape[-1:])
        if counts.shape != expected or ignored.shape != (num_images,):
            raise UserError(
                f"{path}: counts of shape {counts.shape} for {num_images} names, expected "
                "(images, 3, classes); score the row again"
            )
        _whole_numbers(ignored, path)
        _require_hits(_whole_numbers(counts, path), path)
        names = tuple(stored["names"].tolist())
        return cls(names, counts, ignored, int(stored["ignore_index"]))

    def save(self, path: Path) -> None:
        """Write the counts as a compressed .npz without pickled objects."""
        write_arrays(
            path,
            names=np.array(self.names, dtype=np.str_),
            ignore_index=np.array(self.ignore_index),
            counts=self.counts,
            num_ignored=self.num_ignored,
        )

    def __len__(self) -> int:
        return len(self.names)

    @property
    def intersection(self) -> Counts:
        """(N, C): pixels of the class that were predicted as such."""
        return self.counts[:, 0]

    @property
    def target(self) -> Counts:
        """(N, C): pixels of the class in the ground truth."""
        return self.counts[:, 1]

    @property
    def prediction(self) -> Counts:
        """(N, C): pixels predicted as the class, ignored ones left out."""
        return self.counts[:, 2]

    def image_accuracy(self) -> NDArray[np.float64]:
        """Return (N,) shares of correct pixels among the scored ones; NaN where none is scored."""
        scored = self.target.sum(axis=1, dtype=np.float64)
        hits = self.intersection.sum(axis=1, dtype=np.float64)
        return _ratio(hits, scored)

    def image_miou(self) -> NDArray[np.float64]:
        """Return (N,) mIoU over the classes that each image's own label map holds; NaN for none."""
        union = self.counts.astype(np.float64)
        iou = _ratio(union[:, 0], union[:, 1] + union[:, 2] - union[:, 0])
        present = self.target > 0
        return _ratio(np.where(present, iou, 0.0).sum(axis=1), present.sum(axis=1))


def _ratio(
    numerator: NDArray[np.float64],
    denominator: NDArray[np.floating[Any]] | NDArray[np.integer[Any]],
) -> NDArray[np.float64]:
    """Quotient, NaN where the denominator is 0."""
    quotient = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient


def _require_hits(counts: Counts, path: Path) -> None:
    hits, target, prediction = counts[:, 0], counts[:, 1], counts[:, 2]
    if (hits > target).any() or (hits > prediction).any():
        raise UserError(f"{path}: more hits than pixels of a class; score the row again")


def _whole_numbers(counts: NDArray[Any], path: Path) -> Counts:
    if counts.dtype != np.uint32:
        raise UserError(f"{path}: counts are {counts.dtype}, expected uint32; score the row again")
    return counts


def miou_of(counts: NDArray[np.float64], average: ClassAverage) -> NDArray[np.float64]:
    """Average pooled counts (..., 3, C) -> (...,) mIoU by one of the three rules; NaN for none."""
    iou, averaged = iou_of(counts, average)
    with np.errstate(invalid="ignore"):
        return np.where(averaged, iou, 0.0).sum(axis=-1) / averaged.sum(axis=-1)


def iou_of(
    counts: NDArray[np.float64], average: ClassAverage
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Divide pooled counts (..., 3, C) -> (..., C) IoU, 0 for no union, and who is averaged."""
    hits, target, prediction = counts[..., 0, :], counts[..., 1, :], counts[..., 2, :]
    union = target + prediction - hits
    averaged = {"all": union >= 0, "target": target > 0, "union": union > 0}[average]
    return hits / np.maximum(union, 1), averaged
