# SPDX-License-Identifier: Apache-2.0
"""mIoU, accuracies and per-class IoU of predicted label maps, from three counts a class.

Counts are pooled over the split before any ratio is taken, as in the evaluation code of the three
segmenters of Park et al. (CVPR 2019). They disagree on which classes enter the mean IoU, so the
protocol says which:

- "target": classes with ground truth (DeepLabV2 on COCO-Stuff);
- "union": classes in the ground truth or in a prediction (DRN on Cityscapes, mmsegmentation);
- "all": every class, an absent one scoring 0 (UperNet on ADE20K; that code adds 1e-10 to each
  denominator, which moves a score by less than 1e-10 and is left out here).

Predictions on ignored pixels are dropped. Accuracy has two definitions too, and both are computed:
`acc_valid` leaves ignored pixels out, `acc_all` counts them as wrong.
"""

from collections.abc import Sequence
from typing import ClassVar, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spade_eval.errors import UserError
from spade_eval.metrics.base import Column, Metric, ScoredBatch, ScoredSplit, Values
from spade_eval.metrics.counts import ClassAverage, StoredCounts, iou_of


class SegmentationScores:
    """Streaming class counts; every score is a fraction, larger is better.

    The state is two int64 tensors that add up: over batches, ranks or parts of a split. Neither
    their order nor their sizes can change a score.
    """

    def __init__(
        self, num_classes: int, ignore_index: int = 255, averaged: ClassAverage = "union"
    ) -> None:
        if averaged not in get_args(ClassAverage):
            known = ", ".join(get_args(ClassAverage))
            raise UserError(f"no class average is called {averaged!r}. Known: {known}")
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.averaged = averaged
        # Intersection, target and prediction pixels of each class.
        self.counts = torch.zeros(3, num_classes, dtype=torch.int64)
        self.num_ignored = torch.zeros((), dtype=torch.int64)

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Count one batch; both label maps are (N, H, W) integer class indices."""
        self.add(*class_counts(prediction, target, self.num_classes, self.ignore_index))

    def add(self, counts: Tensor, num_ignored: Tensor) -> None:
        """Count images that have been counted already: (N, 3, C), and (N,) ignored pixels."""
        if counts.shape[1:] != self.counts.shape:
            raise ValueError(
                f"counts are {tuple(counts.shape)}, expected (images, 3, {self.num_classes}): "
                "another number of classes"
            )
        self.counts += counts.sum(dim=0).cpu()
        self.num_ignored += num_ignored.sum().cpu()

    def per_class_iou(self) -> list[float | None]:
        """Return the IoU of each class in order; None for a class outside the average."""
        iou, averaged = self._iou()
        pairs = zip(iou.tolist(), averaged.tolist(), strict=True)
        return [value if is_averaged else None for value, is_averaged in pairs]

    def compute(self) -> dict[str, float]:
        """Compute miou, acc_valid, acc_all, mean_accuracy and fwiou, each in [0, 1]."""
        hits, targets, _ = self.counts
        num_valid = targets.sum()
        if num_valid == 0:
            raise UserError(
                f"no pixel to score: all {int(self.num_ignored)} pixels of the ground truth have "
                f"the ignored label {self.ignore_index}; check the label maps"
            )
        iou, averaged = map(torch.from_numpy, self._iou())
        # Recall exists for classes with ground truth only, whichever classes the mean IoU takes.
        recall = hits.double()[targets > 0] / targets[targets > 0]
        return {
            # Sums by torch: NumPy adds in another order, which would move recorded last bits.
            "miou": iou[averaged].mean().item(),
            "acc_valid": (hits.sum().double() / num_valid).item(),
            "acc_all": (hits.sum().double() / (num_valid + self.num_ignored)).item(),
            "mean_accuracy": recall.mean().item(),
            "fwiou": ((targets.double() / num_valid) * iou).sum().item(),
        }

    def _iou(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """IoU of every class, 0 where the union is empty, and which classes are averaged."""
        return iou_of(self.counts.double().numpy(), self.averaged)


class Segmentation(Metric):
    """What a segmenter recognises in the images, pooled over the split."""

    columns: ClassVar = {
        "miou": Column(
            label="mIoU",
            unit="%",
            larger_is_better=True,
            description="mean intersection over union of the classes, counts pooled over the split",
        ),
        "acc_valid": Column(
            label="accuracy (valid)",
            unit="%",
            larger_is_better=True,
            description="correct pixels over the pixels that are not ignored",
        ),
        "acc_all": Column(
            label="accuracy (all)",
            unit="%",
            larger_is_better=True,
            description="correct pixels over all pixels: ignored ones count as wrong",
        ),
        "mean_accuracy": Column(
            label="mean accuracy",
            unit="%",
            larger_is_better=True,
            description="mean recall of the classes that the ground truth holds",
        ),
        "fwiou": Column(
            label="fwIoU",
            unit="%",
            larger_is_better=True,
            description="intersection over union weighted by the ground-truth frequency of the "
            "class",
        ),
        "iou": Column(
            label="IoU",
            unit="%",
            larger_is_better=True,
            description="intersection over union of one class, counts pooled over the split",
        ),
    }

    def update(self, batch: ScoredBatch) -> None:
        counts, num_ignored = batch.class_counts
        self.keep(batch, class_counts=counts, num_ignored=num_ignored)

    def compute(self, split: ScoredSplit) -> Values:
        scores = SegmentationScores(len(split.class_names), averaged=split.class_average)
        scores.add(split.rows["class_counts"], split.rows["num_ignored"])
        iou = dict(zip(split.class_names, scores.per_class_iou(), strict=True))
        return {**scores.compute(), "iou": iou}


def class_counts(
    prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int = 255
) -> tuple[Tensor, Tensor]:
    """Count the classes of (N, H, W) label maps image by image, in one look at their pixels.

    Returns (N, 3, C) int64 pixels, of each class those predicted right, those of the ground truth
    and those predicted, and (N,) int64 ignored pixels. What is predicted on an ignored pixel is not
    looked at. Raises if the shapes differ, or if a scored pixel has a label outside 0..C-1, which
    would otherwise be counted in a neighbouring cell.
    """
    _require_label_maps(prediction, target)
    ignored = target == ignore_index
    columns, rows = (labels.masked_fill(ignored, 0) for labels in (prediction, target))
    _require_classes("prediction", columns, num_classes)
    _require_classes("target", rows, num_classes)
    # Pixels that are not scored have a row of their own.
    rows = rows.long().masked_fill(ignored, num_classes)
    num_images, num_rows = len(target), num_classes + 1
    image = torch.arange(num_images, device=target.device).view(-1, 1, 1)
    cells = (image * num_rows + rows) * num_classes + columns
    pairs = torch.bincount(cells.flatten(), minlength=num_images * num_rows * num_classes)
    pairs = pairs.view(num_images, num_rows, num_classes)
    scored = pairs[:, :-1]
    kinds = [scored.diagonal(dim1=1, dim2=2), scored.sum(dim=2), scored.sum(dim=1)]
    return torch.stack(kinds, dim=1), pairs[:, -1].sum(dim=1)


def stored_counts(names: Sequence[str], counts: Tensor, num_ignored: Tensor) -> StoredCounts:
    """Return what `class_counts` gave of named images, in the form that is kept as a file."""
    if len(names) != len(counts):
        raise ValueError(f"{len(names)} names for {len(counts)} label maps, expected one each")
    numbers, ignored = (part.cpu().numpy().astype(np.uint32) for part in (counts, num_ignored))
    return StoredCounts(tuple(names), numbers, ignored)


def _require_label_maps(prediction: Tensor, target: Tensor) -> None:
    if prediction.shape != target.shape:
        raise ValueError(
            f"prediction is {tuple(prediction.shape)} but target is {tuple(target.shape)}; "
            "resize logits to the target before argmax"
        )
    for name, labels in (("prediction", prediction), ("target", target)):
        if labels.is_floating_point() or labels.is_complex():
            raise ValueError(f"{name} is {labels.dtype}, expected integer class indices")


def _require_classes(name: str, labels: Tensor, num_classes: int) -> None:
    if not labels.numel():
        return
    least, largest = labels.aminmax()
    if least >= 0 and largest < num_classes:
        return
    outside = labels[(labels < 0) | (labels >= num_classes)]
    raise UserError(
        f"{name} has label {int(outside[0])} in {outside.numel()} scored pixels, expected "
        f"0..{num_classes - 1}; check that segmenter and dataset share a label space"
    )
