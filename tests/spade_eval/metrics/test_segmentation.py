# SPDX-License-Identifier: Apache-2.0
"""Pooled segmentation scores against loops in plain Python, scikit-learn and the original code."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix
from torch import Tensor

from spade_eval.errors import UserError
from spade_eval.metrics.counts import ClassAverage
from spade_eval.metrics.segmentation import SegmentationScores, class_counts

AVERAGES: tuple[ClassAverage, ...] = ("all", "target", "union")
IGNORED = 255
# Scores are a handful of float64 operations away from exact fractions.
ROUNDING = 1e-14


def pooled(confusion: np.ndarray) -> np.ndarray:
    """(3, C) intersection, target and prediction of a confusion matrix; rows are targets."""
    return np.stack([confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)])


def brute_force(
    prediction: list[int], target: list[int], num_classes: int, averaged: str
) -> tuple[dict[str, Fraction], list[Fraction | None]]:
    """All scores from the definitions, pixel by pixel, in exact arithmetic."""
    pixels = [(p, t) for p, t in zip(prediction, target, strict=True) if t != IGNORED]
    correct = sum(p == t for p, t in pixels)
    ious: list[Fraction | None] = []
    accuracies, weighted = [], Fraction(0)
    for c in range(num_classes):
        both = sum(p == c and t == c for p, t in pixels)
        either = sum(p == c or t == c for p, t in pixels)
        truth = sum(t == c for _, t in pixels)
        iou = Fraction(both, either) if either else Fraction(0)
        inside = {"all": True, "target": truth > 0, "union": either > 0}[averaged]
        ious.append(iou if inside else None)
        if truth:
            accuracies.append(Fraction(both, truth))
            weighted += Fraction(truth, len(pixels)) * iou
    averaged_ious = [iou for iou in ious if iou is not None]
    scores = {
        "miou": sum(averaged_ious, Fraction(0)) / len(averaged_ious),
        "acc_valid": Fraction(correct, len(pixels)),
        "acc_all": Fraction(correct, len(target)),
        "mean_accuracy": sum(accuracies, Fraction(0)) / len(accuracies),
        "fwiou": weighted,
    }
    return scores, ious


@st.composite
def label_maps(draw: st.DrawFn) -> tuple[int, Tensor, Tensor]:
    """num_classes, prediction and target; some classes stay absent, some pixels are ignored."""
    num_classes = draw(st.integers(1, 6))
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4)))
    size = int(np.prod(shape))
    labels = st.integers(0, num_classes - 1)
    prediction = draw(st.lists(labels, min_size=size, max_size=size))
    # The first pixel is scored, so that there is something to divide by.
    target = [draw(labels)]
    target += draw(st.lists(labels | st.just(IGNORED), min_size=size - 1, max_size=size - 1))
    dtype = draw(st.sampled_from([torch.uint8, torch.int32, torch.int64]))
    return (
        num_classes,
        torch.tensor(prediction, dtype=dtype).view(shape),
        torch.tensor(target, dtype=dtype).view(shape),
    )


@pytest.mark.parametrize("averaged", AVERAGES)
@settings(deadline=None)
@given(label_maps())
def test_equals_brute_force(averaged: ClassAverage, maps: tuple[int, Tensor, Tensor]) -> None:
    num_classes, prediction, target = maps
    scores = SegmentationScores(num_classes, averaged=averaged)
    scores.update(prediction, target)
    expected, expected_ious = brute_force(
        prediction.flatten().tolist(), target.flatten().tolist(), num_classes, averaged
    )
    computed = scores.compute()
    assert computed.keys() == expected.keys()
    for name, value in expected.items():
        assert computed[name] == pytest.approx(float(value), rel=ROUNDING, abs=ROUNDING), name
    ious = scores.per_class_iou()
    assert [iou is None for iou in ious] == [iou is None for iou in expected_ious]
    for iou, expected_iou in zip(ious, expected_ious, strict=True):
        if iou is not None and expected_iou is not None:
            assert iou == pytest.approx(float(expected_iou), rel=ROUNDING)


@pytest.mark.filterwarnings("ignore:A single label was found")
@settings(deadline=None)
@given(label_maps())
def test_confusion_equals_scikit_learn(maps: tuple[int, Tensor, Tensor]) -> None:
    num_classes, prediction, target = maps
    scores = SegmentationScores(num_classes)
    scores.update(prediction, target)
    known = target != IGNORED
    expected = confusion_matrix(
        target[known].numpy(), prediction[known].numpy(), labels=range(num_classes)
    )
    assert np.array_equal(scores.counts.numpy(), pooled(expected))
    assert scores.num_ignored == (~known).sum()


@settings(deadline=None)
@given(label_maps(), st.integers(1, 3))
def test_batching_and_merging_change_nothing(
    maps: tuple[int, Tensor, Tensor], batch_size: int
) -> None:
    num_classes, prediction, target = maps
    whole, batched, merged = (SegmentationScores(num_classes) for _ in range(3))
    whole.update(prediction, target)
    for start in range(0, len(target), batch_size):
        batch = slice(start, start + batch_size)
        batched.update(prediction[batch], target[batch])
        merged.add(*class_counts(prediction[batch], target[batch], num_classes))
    assert batched.compute() == whole.compute() == merged.compute()


@pytest.mark.parametrize("averaged", AVERAGES)
def test_perfect_prediction(averaged: ClassAverage) -> None:
    target = torch.tensor([[[0, 1, 2], [2, 1, IGNORED]]])
    scores = SegmentationScores(3, averaged=averaged)
    scores.update(target, target)
    expected = dict.fromkeys(("miou", "acc_valid", "mean_accuracy", "fwiou"), 1.0)
    assert scores.compute() == expected | {"acc_all": 5 / 6}


def test_counts_do_not_overflow_small_types() -> None:
    target = torch.zeros(1, 300, 300, dtype=torch.uint8)
    scores = SegmentationScores(200)
    scores.update(target + 199, target + 199)
    assert scores.compute()["acc_valid"] == 1.0
    assert scores.counts[:, 199].tolist() == [90_000] * 3


@pytest.mark.parametrize("label", [3, 254, -1])
@pytest.mark.parametrize("side", ["prediction", "target"])
def test_label_outside_the_classes_is_named(label: int, side: str) -> None:
    maps = {"prediction": torch.tensor([[[0, 1]]]), "target": torch.tensor([[[0, 1]]])}
    maps[side][0, 0, 1] = label
    scores = SegmentationScores(3)
    with pytest.raises(UserError, match=rf"{side} has label {label} in 1 scored pixels.*0\.\.2"):
        scores.update(**maps)
    assert scores.counts.sum() == 0


def test_other_wrong_inputs() -> None:
    scores = SegmentationScores(3)
    with pytest.raises(ValueError, match="resize logits to the target"):
        scores.update(torch.zeros(1, 2, 2, dtype=torch.long), torch.zeros(1, 4, 4))
    with pytest.raises(ValueError, match="integer class indices"):
        scores.update(torch.zeros(1, 2, 2), torch.zeros(1, 2, 2, dtype=torch.long))
    with pytest.raises(UserError, match="'present'"):
        SegmentationScores(3, averaged="present")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="another number of classes"):
        scores.add(torch.zeros(1, 3, 4, dtype=torch.int64), torch.zeros(1, dtype=torch.int64))
    scores.update(torch.tensor([[[0]]]), torch.tensor([[[IGNORED]]]))
    with pytest.raises(UserError, match="no pixel to score: all 1 pixels"):
        scores.compute()


@pytest.mark.parametrize(
    ("averaged", "repository"), [("target", "deeplab"), ("union", "drn"), ("all", "csail")]
)
def test_equals_the_segmenters_own_code(
    parity_case: Callable[[str], dict[str, Any]], averaged: ClassAverage, repository: str
) -> None:
    case = parity_case("segmenter_confusion")
    scores = SegmentationScores(12, averaged=averaged)
    for index in range(4):
        prediction, target = case[f"pred{index}"], case[f"gt{index}"]
        scores.update(torch.from_numpy(prediction)[None], torch.from_numpy(target)[None])
    assert np.array_equal(scores.counts.numpy(), pooled(case["hist"]))
    computed = scores.compute()
    # CSAIL's code adds 1e-10 to denominators; the others differ in the order of additions.
    tolerance = {"rel": 1e-9 if repository == "csail" else 1e-12}
    assert computed["miou"] == pytest.approx(case[f"{repository}_mean_iou"].item(), **tolerance)
    assert computed["acc_all"] == pytest.approx(case["void_as_error_pixel_acc"].item(), rel=1e-12)
    assert computed["acc_valid"] == pytest.approx(case["deeplab_pixel_acc"].item(), rel=1e-12)
    assert computed["mean_accuracy"] == pytest.approx(case["deeplab_mean_acc"].item(), rel=1e-12)
    assert computed["fwiou"] == pytest.approx(case["deeplab_fw_iou"].item(), rel=1e-12)
    # The repositories report classes outside their mean too, as NaN or as 0.
    for iou, expected in zip(
        scores.per_class_iou(), case[f"{repository}_class_iou"].tolist(), strict=True
    ):
        assert iou is None or iou == pytest.approx(expected, **tolerance)
