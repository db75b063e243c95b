# SPDX-License-Identifier: Apache-2.0
"""mIoU, accuracies and per-class IoU of predicted label maps, from one confusion matrix per split.

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

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from spade_eval.errors import UserError
from spade_eval.metrics.counts import ClassAverage


class SegmentationScores:
    """Streaming confusion matrix; every score is a fraction, larger is better.

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
        # Rows are targets, columns predictions.
        self.confusion = torch.zeros(num_classes, num_classes, dtype=torch.int64)
        self.num_ignored = torch.zeros((), dtype=torch.int64)

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Count one batch; both label maps are (N, H, W) integer class indices."""
        known, prediction, target = scored_pixels(
            prediction, target, self.num_classes, self.ignore_index
        )
        pairs = target * self.num_classes + prediction
        counts = torch.bincount(pairs, minlength=self.num_classes**2).cpu()
        self.confusion += counts.view_as(self.confusion)
        self.num_ignored += known.numel() - pairs.numel()

    def add(self, confusions: "ImageConfusions") -> None:
        """Count one batch whose images have been counted already; equal to `update`."""
        self.confusion += confusions.counts.sum(dim=0).cpu()
        self.num_ignored += confusions.num_ignored.sum().cpu()

    def state(self) -> dict[str, Tensor]:
        """Copies of the counts; the engine sums them over ranks before it calls `compute`."""
        return {"confusion": self.confusion.clone(), "num_ignored": self.num_ignored.clone()}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the counts of another part of the split, as its `state()` gave them."""
        if state["confusion"].shape != self.confusion.shape:
            raise ValueError(
                f"state has a confusion matrix of {tuple(state['confusion'].shape)}, "
                f"expected {tuple(self.confusion.shape)}: another number of classes"
            )
        self.confusion += state["confusion"].to("cpu", torch.int64)
        self.num_ignored += state["num_ignored"].to("cpu", torch.int64)

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Replace the counts by those of `state`."""
        self.confusion.zero_()
        self.num_ignored.zero_()
        self.merge(state)

    def per_class_iou(self) -> list[float | None]:
        """IoU of each class in order; None for a class outside the average."""
        iou, averaged = self._iou()
        pairs = zip(iou.tolist(), averaged.tolist(), strict=True)
        return [value if is_averaged else None for value, is_averaged in pairs]

    def compute(self) -> dict[str, float]:
        """miou, acc_valid, acc_all, mean_accuracy and fwiou, each in [0, 1]."""
        num_valid = self.confusion.sum()
        if num_valid == 0:
            raise UserError(
                f"no pixel to score: all {int(self.num_ignored)} pixels of the ground truth have "
                f"the ignored label {self.ignore_index}; check the label maps"
            )
        hits, targets = self.confusion.diag(), self.confusion.sum(dim=1)
        iou, averaged = self._iou()
        # Recall exists for classes with ground truth only, whichever classes the mean IoU takes.
        recall = hits.double()[targets > 0] / targets[targets > 0]
        return {
            "miou": iou[averaged].mean().item(),
            "acc_valid": (hits.sum().double() / num_valid).item(),
            "acc_all": (hits.sum().double() / (num_valid + self.num_ignored)).item(),
            "mean_accuracy": recall.mean().item(),
            "fwiou": ((targets.double() / num_valid) * iou).sum().item(),
        }

    def _iou(self) -> tuple[Tensor, Tensor]:
        """IoU of every class, 0 where the union is empty, and which classes are averaged."""
        hits, targets = self.confusion.diag(), self.confusion.sum(dim=1)
        union = targets + self.confusion.sum(dim=0) - hits
        averaged = {"all": union >= 0, "target": targets > 0, "union": union > 0}[self.averaged]
        return hits.double() / union.clamp(min=1), averaged


@dataclass(frozen=True)
class ImageConfusions:
    """A confusion matrix of each image of a batch."""

    counts: Tensor  # (N, num_classes, num_classes) int64: targets, predictions
    num_ignored: Tensor  # (N,) int64: pixels


def image_confusions(
    prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int = 255
) -> ImageConfusions:
    """All counts of a batch of (N, H, W) class indices from one look at its pixels.

    The plain form is `scored_pixels` and a count for each number that is wanted.
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
    counts = torch.bincount(cells.flatten(), minlength=num_images * num_rows * num_classes)
    counts = counts.view(num_images, num_rows, num_classes)
    return ImageConfusions(counts[:, :-1], counts[:, -1].sum(dim=1))


def scored_pixels(
    prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The (N, H, W) mask of pixels that are not ignored, and prediction and target there, int64.

    Raises if the shapes differ or if a scored pixel has a label outside 0..num_classes-1, which
    would otherwise be counted in a neighbouring cell of the matrix. What is predicted on an
    ignored pixel is not looked at.
    """
    _require_label_maps(prediction, target)
    known = target != ignore_index
    prediction, target = prediction[known].long(), target[known].long()
    _require_classes("prediction", prediction, num_classes)
    _require_classes("target", target, num_classes)
    return known, prediction, target


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
