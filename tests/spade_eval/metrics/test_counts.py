# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from spade_eval.errors import UserError
from spade_eval.metrics.image_counts import ImageCounts
from spade_eval.metrics.segmentation import (
    SegmentationScores,
    image_confusions,
    scored_pixels,
)

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


def count(maps: tuple[Tensor, Tensor], start: int, stop: int) -> ImageCounts:
    counts = ImageCounts(NUM_CLASSES)
    part = slice(start, stop)
    counts.update(NAMES[part], maps[0][part], maps[1][part])
    return counts


def assert_same(counts: ImageCounts, expected: ImageCounts) -> None:
    assert counts.names == expected.names
    for part in ("intersection", "target", "prediction", "num_ignored"):
        assert getattr(counts, part).dtype == np.uint32
        assert np.array_equal(getattr(counts, part), getattr(expected, part)), part


def test_equals_counts_of_each_image(maps: tuple[Tensor, Tensor]) -> None:
    counts = count(maps, 0, NUM_IMAGES)
    for index, (prediction, target) in enumerate(zip(*map(Tensor.numpy, maps), strict=True)):
        assert counts.num_ignored[index] == np.sum(target == IGNORED)
        for label in range(NUM_CLASSES):
            scored = target != IGNORED
            hits = np.sum((prediction == label) & (target == label))
            assert counts.intersection[index, label] == hits
            assert counts.target[index, label] == np.sum(target == label)
            assert counts.prediction[index, label] == np.sum((prediction == label) & scored)


def test_sums_are_those_of_the_confusion_matrix(maps: tuple[Tensor, Tensor]) -> None:
    counts = count(maps, 0, NUM_IMAGES)
    scores = SegmentationScores(NUM_CLASSES)
    scores.update(*maps)
    confusion = scores.state()["confusion"].numpy()
    assert np.array_equal(counts.intersection.sum(axis=0), confusion.diagonal())
    assert np.array_equal(counts.target.sum(axis=0), confusion.sum(axis=1))
    assert np.array_equal(counts.prediction.sum(axis=0), confusion.sum(axis=0))


def test_batching_and_merging_change_nothing(maps: tuple[Tensor, Tensor]) -> None:
    whole = count(maps, 0, NUM_IMAGES)
    merged = count(maps, 0, 3)
    merged.merge(count(maps, 3, NUM_IMAGES))
    assert_same(merged, whole)
    assert len(merged) == NUM_IMAGES


def test_file_round_trip(maps: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    whole = count(maps, 0, NUM_IMAGES)
    whole.save(tmp_path / "counts.npz")
    loaded = ImageCounts.load(tmp_path / "counts.npz")
    assert_same(loaded, whole)
    assert (loaded.num_classes, loaded.ignore_index) == (NUM_CLASSES, IGNORED)


def test_empty_counts_can_be_stored(tmp_path: Path) -> None:
    ImageCounts(NUM_CLASSES).save(tmp_path / "counts.npz")
    loaded = ImageCounts.load(tmp_path / "counts.npz")
    assert len(loaded) == 0
    assert loaded.target.shape == (0, NUM_CLASSES)


def test_wrong_inputs(maps: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    counts = ImageCounts(NUM_CLASSES)
    with pytest.raises(ValueError, match="1 names for 7 label maps"):
        counts.update(["one"], *maps)
    with pytest.raises(ValueError, match="5 classes"):
        ImageCounts(4).merge(counts)
    with pytest.raises(UserError, match="does not hold per-image counts"):
        ImageCounts.load(tmp_path / "absent.npz")
    np.savez(tmp_path / "other.npz", other=np.zeros(3))
    with pytest.raises(UserError, match="does not hold per-image counts"):
        ImageCounts.load(tmp_path / "other.npz")


def test_one_look_at_the_pixels_gives_all_counts(maps: tuple[Tensor, Tensor]) -> None:
    scores, added = (SegmentationScores(NUM_CLASSES) for _ in range(2))
    counts = ImageCounts(NUM_CLASSES)
    scores.update(*maps)
    # What is predicted on ignored pixels is not looked at, even where it is no class.
    prediction = maps[0].masked_fill(maps[1] == IGNORED, 200)
    for kind in (torch.int64, torch.uint8):
        confusions = image_confusions(prediction.to(kind), maps[1].to(kind), NUM_CLASSES)
        added.load_state(SegmentationScores(NUM_CLASSES).state())
        added.add(confusions)
        assert all(torch.equal(a, added.state()[name]) for name, a in scores.state().items())
    counts.add(NAMES, confusions)
    assert_same(counts, count(maps, 0, NUM_IMAGES))


@pytest.mark.parametrize(("which", "value"), [(0, NUM_CLASSES), (1, NUM_CLASSES), (0, -1)])
def test_labels_outside_are_refused_alike(
    maps: tuple[Tensor, Tensor], which: int, value: int
) -> None:
    maps[which][0, 0, 0], maps[1 - which][0, 0, 0] = value, 0
    messages = []
    for counted in (scored_pixels, image_confusions):
        with pytest.raises(UserError, match=f"has label {value} in 1 scored pixels") as raised:
            counted(*maps, NUM_CLASSES, IGNORED)
        messages.append(str(raised.value))
    assert messages[0] == messages[1]
    with pytest.raises(ValueError, match="resize logits"):
        image_confusions(maps[0][:, 1:], maps[1], NUM_CLASSES)
    with pytest.raises(ValueError, match="expected integer"):
        image_confusions(maps[0].float(), maps[1], NUM_CLASSES)
