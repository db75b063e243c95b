# SPDX-License-Identifier: Apache-2.0
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix
from torch import Tensor

from spade_eval.errors import UserError
from spade_eval.metrics.counts import StoredCounts
from spade_eval.metrics.segmentation import SegmentationScores, class_counts, stored_counts

NUM_IMAGES, NUM_CLASSES, IGNORED = 7, 5, 255
NAMES = [f"image{index}" for index in range(NUM_IMAGES)]


@pytest.fixture
def maps() -> tuple[Tensor, Tensor]:
    """Predictions and targets; the last class is absent and image 2 is ignored as a whole."""
    generator = torch.Generator().manual_seed(0)
    shape = (NUM_IMAGES, 6, 9)
    prediction = torch.randint(NUM_CLASSES - 1, shape, generator=generator)
    target = torch.randint(NUM_CLASSES - 1, shape, generator=generator)
    target[torch.rand(shape, generator=generator) < 0.2] = IGNORED
    target[2] = IGNORED
    return prediction, target


def count(maps: tuple[Tensor, Tensor]) -> StoredCounts:
    return stored_counts(NAMES, *class_counts(*maps, NUM_CLASSES))


def assert_same(counts: StoredCounts, expected: StoredCounts) -> None:
    assert counts.names == expected.names
    for part in ("intersection", "target", "prediction", "num_ignored"):
        assert getattr(counts, part).dtype == np.uint32
        assert np.array_equal(getattr(counts, part), getattr(expected, part)), part


def test_equals_counts_of_each_image(maps: tuple[Tensor, Tensor]) -> None:
    counts = count(maps)
    for index, (prediction, target) in enumerate(zip(*map(Tensor.numpy, maps), strict=True)):
        assert counts.num_ignored[index] == np.sum(target == IGNORED)
        for label in range(NUM_CLASSES):
            scored = target != IGNORED
            hits = np.sum((prediction == label) & (target == label))
            assert counts.intersection[index, label] == hits
            assert counts.target[index, label] == np.sum(target == label)
            assert counts.prediction[index, label] == np.sum((prediction == label) & scored)


def test_sums_are_those_of_the_confusion_matrix(maps: tuple[Tensor, Tensor]) -> None:
    counts = count(maps)
    known = maps[1] != IGNORED
    confusion = confusion_matrix(maps[1][known], maps[0][known], labels=range(NUM_CLASSES))
    assert np.array_equal(counts.intersection.sum(axis=0), confusion.diagonal())
    assert np.array_equal(counts.target.sum(axis=0), confusion.sum(axis=1))
    assert np.array_equal(counts.prediction.sum(axis=0), confusion.sum(axis=0))
    scores = SegmentationScores(NUM_CLASSES)
    scores.update(*maps)
    assert np.array_equal(scores.counts.numpy(), counts.counts.sum(axis=0))


def test_batching_changes_nothing(maps: tuple[Tensor, Tensor]) -> None:
    whole = class_counts(*maps, NUM_CLASSES)
    parts = [
        class_counts(*(side[part] for side in maps), NUM_CLASSES)
        for part in (slice(3), slice(3, NUM_IMAGES))
    ]
    for of_whole, *of_parts in zip(whole, *parts, strict=True):
        assert torch.equal(torch.cat(of_parts), of_whole)


def test_file_round_trip(maps: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    whole = count(maps)
    whole.save(tmp_path / "counts.npz")
    loaded = StoredCounts.load(tmp_path / "counts.npz")
    assert_same(loaded, whole)
    assert (loaded.counts.shape[-1], loaded.ignore_index) == (NUM_CLASSES, IGNORED)


def test_the_form_of_the_file_is_that_of_every_run_folder(
    maps: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    whole = count(maps)
    whole.save(tmp_path / "counts.npz")
    with np.load(tmp_path / "counts.npz") as stored:
        kinds = {name: (array.dtype.kind, array.shape) for name, array in stored.items()}
    assert kinds == {
        "names": ("U", (NUM_IMAGES,)), "ignore_index": ("i", ()),
        "counts": ("u", (NUM_IMAGES, 3, NUM_CLASSES)), "num_ignored": ("u", (NUM_IMAGES,)),
    }  # fmt: skip
    np.savez(
        tmp_path / "old.npz", names=np.array(NAMES), ignore_index=np.array(IGNORED),
        counts=whole.counts, num_ignored=whole.num_ignored,
    )  # fmt: skip
    assert_same(StoredCounts.load(tmp_path / "old.npz"), whole)


def test_empty_counts_can_be_stored(tmp_path: Path) -> None:
    nothing = torch.zeros(0, 6, 9, dtype=torch.int64)
    stored_counts([], *class_counts(nothing, nothing, NUM_CLASSES)).save(tmp_path / "counts.npz")
    loaded = StoredCounts.load(tmp_path / "counts.npz")
    assert len(loaded) == 0
    assert loaded.target.shape == (0, NUM_CLASSES)


def test_wrong_inputs(maps: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1 names for 7 label maps"):
        stored_counts(["one"], *class_counts(*maps, NUM_CLASSES))
    with pytest.raises(UserError, match="does not hold per-image counts"):
        StoredCounts.load(tmp_path / "absent.npz")
    np.savez(tmp_path / "other.npz", other=np.zeros(3))
    with pytest.raises(UserError, match="does not hold per-image counts"):
        StoredCounts.load(tmp_path / "other.npz")


@pytest.mark.parametrize(
    ("name", "array", "said"),
    [
        ("names", np.array("one"), r"names are <U3 of shape \(\)"),
        ("names", np.arange(NUM_IMAGES), "names are int64"),
        ("ignore_index", np.array([255, 255]), r"ignore_index is int64 of shape \(2,\)"),
        ("ignore_index", np.array(np.nan), "ignore_index is float64"),
        ("counts", np.zeros((NUM_IMAGES, 3, NUM_CLASSES)), "counts are float64"),
        ("counts", np.zeros((NUM_IMAGES, 3), np.uint32), r"counts of shape \(7, 3\)"),
        ("counts", np.array(3, np.uint32), r"counts of shape \(\)"),
    ],
)
def test_counts_of_another_form_are_refused(
    maps: tuple[Tensor, Tensor], tmp_path: Path, name: str, array: Any, said: str
) -> None:
    path = tmp_path / "counts.npz"
    count(maps).save(path)
    with np.load(path) as stored:
        arrays = dict(stored)
    np.savez(path, **{**arrays, name: array})
    with pytest.raises(UserError, match=said):
        StoredCounts.load(path)


def test_a_header_that_declares_more_than_memory_is_refused(tmp_path: Path) -> None:
    head = io.BytesIO()
    form = {"descr": "<u4", "fortran_order": False, "shape": (1 << 50, 3, 1)}
    np.lib.format.write_array_header_1_0(head, form)
    with zipfile.ZipFile(tmp_path / "counts.npz", "w") as archive:
        archive.writestr("names.npy", head.getvalue())
    with pytest.raises(UserError, match="does not hold per-image counts"):
        StoredCounts.load(tmp_path / "counts.npz")


@pytest.mark.parametrize("kind", [torch.int64, torch.uint8])
def test_what_is_predicted_on_ignored_pixels_is_not_looked_at(
    maps: tuple[Tensor, Tensor], kind: torch.dtype
) -> None:
    prediction = maps[0].masked_fill(maps[1] == IGNORED, 200)  # which is no class
    counts = class_counts(prediction.to(kind), maps[1].to(kind), NUM_CLASSES)
    assert_same(stored_counts(NAMES, *counts), count(maps))


@pytest.mark.parametrize(("which", "value"), [(0, NUM_CLASSES), (1, NUM_CLASSES), (0, -1)])
def test_labels_outside_are_refused(maps: tuple[Tensor, Tensor], which: int, value: int) -> None:
    maps[which][0, 0, 0], maps[1 - which][0, 0, 0] = value, 0
    with pytest.raises(UserError, match=f"has label {value} in 1 scored pixels"):
        class_counts(*maps, NUM_CLASSES, IGNORED)
    with pytest.raises(ValueError, match="resize logits"):
        class_counts(maps[0][:, 1:], maps[1], NUM_CLASSES)
    with pytest.raises(ValueError, match="expected integer"):
        class_counts(maps[0].float(), maps[1], NUM_CLASSES)


@pytest.mark.parametrize(("place", "value"), [((0, 0, 1), 4000), ((0, 2), 0), ((0, 1), 0)])
def test_more_hits_than_pixels_are_refused(
    maps: tuple[Tensor, Tensor], tmp_path: Path, place: tuple[int, ...], value: int
) -> None:
    count(maps).save(tmp_path / "counts.npz")
    with np.load(tmp_path / "counts.npz") as stored:
        arrays = dict(stored)
    np.savez(tmp_path / "counts.npz", **arrays)
    StoredCounts.load(tmp_path / "counts.npz")
    arrays["counts"][place] = value
    np.savez(tmp_path / "counts.npz", **arrays)
    with pytest.raises(UserError, match=r"^[^\n]*more hits than pixels of a class[^\n]*$"):
        StoredCounts.load(tmp_path / "counts.npz")
