# SPDX-License-Identifier: Apache-2.0
"""The procedural world: pure in its key, the same scene at every size, learnable classes."""

import time

import numpy as np
import pytest

from spade_eval.datasets.base import HasOracle, Sample
from spade_eval.datasets.scenes import Scenes, draw_style, render
from spade_eval.datasets.scenes.classes import (
    BOAT,
    BUILDING,
    CAR,
    NUM_CLASSES,
    PERSON,
    SEA,
    SKY,
    TREE,
)
from spade_eval.errors import UserError

THINGS = (BUILDING, TREE, PERSON, CAR, BOAT)


def assert_same(first: Sample, second: Sample) -> None:
    assert first.name == second.name
    np.testing.assert_array_equal(first.label_map, second.label_map)
    np.testing.assert_array_equal(first.instance_map, second.instance_map)
    np.testing.assert_array_equal(first.photo, second.photo)


@pytest.fixture(scope="module")
def val_samples() -> list[Sample]:
    """The first 160 val samples at the size of the default run."""
    dataset = Scenes("val", size=(64, 64))
    return [dataset[index] for index in range(160)]


@pytest.mark.parametrize("size", [(64, 64), (48, 80), (97, 33), (16, 16), (128, 256)])
def test_sample_has_the_size_and_ranges_of_the_protocol(size: tuple[int, int]) -> None:
    dataset = Scenes("train", size=size)
    for index in range(4):
        sample = dataset[index]
        assert sample.label_map.shape == size
        assert sample.label_map.dtype == np.uint8
        assert sample.label_map.max() < NUM_CLASSES
        assert sample.instance_map is not None
        assert sample.instance_map.shape == size
        assert sample.instance_map.dtype == np.int32
        assert sample.instance_map.min() >= 0
        assert sample.photo.shape == (*size, 3)
        assert sample.photo.dtype == np.uint8
        assert sample.photo.std() > 5.0  # a picture, not a surface


def test_default_lengths_names_and_label_space() -> None:
    train, val = Scenes("train"), Scenes("val")
    assert (len(train), len(val)) == (4000, 500)
    assert train.size == (128, 128)
    assert train.names[12] == "train_00012"
    assert len(set(train.names) | set(val.names)) == 4500
    assert train[12].name == "train_00012"
    assert len(set(train.label_space.palette)) == train.label_space.num_classes >= 14
    assert len(train.label_space.class_names) == len(train.label_space.palette)
    assert not train.label_space.has_unlabelled
    assert isinstance(train, HasOracle)


def test_sample_is_the_same_in_any_order_of_access() -> None:
    first, second = Scenes("train", size=(64, 64)), Scenes("train", size=(64, 64))
    forward = [first[index] for index in range(5)]
    second.oracle_photo(2)
    backward = [second[index] for index in reversed(range(5))][::-1]
    for one, other in zip(forward, backward, strict=True):
        assert_same(one, other)


def test_length_does_not_change_a_sample() -> None:
    assert_same(Scenes("val", size=(64, 64), length=3)[2], Scenes("val", size=(64, 64))[2])


@pytest.mark.parametrize("other", [Scenes("val", (64, 64)), Scenes("train", (64, 64), seed=1)])
def test_split_and_seed_change_layout_and_photo(other: Scenes) -> None:
    dataset = Scenes("train", size=(64, 64))
    for index in range(5):
        assert (dataset[index].label_map != other[index].label_map).mean() > 0.02
        assert (dataset[index].photo != other[index].photo).mean() > 0.5


def test_negative_index_and_end_of_split() -> None:
    dataset = Scenes("val", size=(64, 64), length=4)
    assert_same(dataset[-1], dataset[3])
    with pytest.raises(IndexError):
        dataset[4]
    with pytest.raises(IndexError):
        dataset.oracle_photo(-5)


def test_all_classes_occur_often_and_large(val_samples: list[Sample]) -> None:
    labels = np.stack([sample.label_map for sample in val_samples]).reshape(len(val_samples), -1)
    for label in range(NUM_CLASSES):
        count = (labels == label).sum(axis=1)
        # The rarest class is meant for a fifth of the pictures; 0.12 is 3 sigma below at n = 160.
        assert (count > 0).mean() > 0.12, label
        assert np.median(count[count > 0]) >= 20, label


def test_an_instance_has_one_class_and_things_have_instances(val_samples: list[Sample]) -> None:
    several = 0
    for sample in val_samples[:60]:
        assert sample.instance_map is not None
        pairs = np.unique(np.stack([sample.instance_map, sample.label_map]).reshape(2, -1), axis=1)
        assert len(set(pairs[0])) == pairs.shape[1]
        several += sum(int((pairs[1] == label).sum() > 1) for label in THINGS)
    assert several > 60  # more than one kind of thing a picture stands there in numbers


def test_neighbouring_objects_of_a_class_are_told_apart(val_samples: list[Sample]) -> None:
    touching = 0
    for sample in val_samples:
        labels, ids = sample.label_map, sample.instance_map
        assert ids is not None
        same = (labels[:, 1:] == labels[:, :-1]) & np.isin(labels[:, 1:], THINGS)
        touching += int((same & (ids[:, 1:] != ids[:, :-1])).any())
    assert touching > len(val_samples) // 4


def test_layout_is_the_same_scene_at_every_size() -> None:
    small, large = Scenes("val", size=(128, 128)), Scenes("val", size=(256, 256))
    for index in range(16):
        halved = large[index].label_map[::2, ::2]
        # Half a pixel of every border may fall either way; thin parts are drawn a pixel wide.
        assert (halved == small[index].label_map).mean() > 0.85


def test_oracle_is_another_photo_of_the_same_maps() -> None:
    dataset = Scenes("val", size=(64, 64))
    for index in range(6):
        sample, oracle = dataset[index], dataset.oracle_photo(index)
        assert oracle.shape == sample.photo.shape
        assert oracle.dtype == np.uint8
        np.testing.assert_array_equal(oracle, dataset.oracle_photo(index))
        assert (oracle != sample.photo).mean() > 0.5


def test_photo_shows_the_borders_of_the_label_map() -> None:
    dataset = Scenes("val", size=(64, 64))
    at_border, inside = [], []
    for index in range(20):
        sample = dataset[index]
        step = np.abs(np.diff(sample.photo.astype(float), axis=1)).mean(axis=2)
        border = np.diff(sample.label_map.astype(int), axis=1) != 0
        at_border.append(step[border].mean())
        inside.append(step[~border].mean())
    assert np.mean(at_border) > 2.0 * np.mean(inside)


def test_training_sample_is_the_sample_or_its_mirror_image() -> None:
    dataset = Scenes("train", size=(64, 64))
    flips = []
    for index, epoch in [(index, epoch) for index in range(6) for epoch in range(4)]:
        plain, sample = dataset[index], dataset.training_sample(index, epoch, seed=3)
        assert_same(sample, dataset.training_sample(index, epoch, seed=3))
        flipped = not np.array_equal(plain.photo, sample.photo)
        turn = slice(None, None, -1 if flipped else 1)
        assert plain.instance_map is not None
        assert sample.instance_map is not None
        np.testing.assert_array_equal(sample.photo, plain.photo[:, turn])
        np.testing.assert_array_equal(sample.label_map, plain.label_map[:, turn])
        np.testing.assert_array_equal(sample.instance_map, plain.instance_map[:, turn])
        flips.append(flipped)
    assert 4 <= sum(flips) <= 20  # 24 even draws; outside has probability 3e-4, and seed is fixed


def test_fingerprint_names_the_data() -> None:
    base = Scenes("train", (64, 64), 0, 10)
    others = [
        Scenes("val", (64, 64), 0, 10),
        Scenes("train", (64, 65), 0, 10),
        Scenes("train", (64, 64), 1, 10),
        Scenes("train", (64, 64), 0, 11),
    ]
    assert base.fingerprint() == Scenes("train", (64, 64), 0, 10).fingerprint()
    assert len({base.fingerprint(), *(other.fingerprint() for other in others)}) == 5
    assert len(base.fingerprint()) == 64


@pytest.mark.parametrize("label", range(NUM_CLASSES))
def test_renders_a_map_of_one_class(label: int) -> None:
    """What a generator may be asked for, however unlikely: no sky, no ground, no horizon."""
    rng = np.random.default_rng(label)
    label_map = np.full((32, 40), label, dtype=np.uint8)
    photo = render(label_map, label_map.astype(np.int32), draw_style(rng), rng)
    assert photo.shape == (32, 40, 3)


def test_renders_confetti() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        label_map = rng.integers(NUM_CLASSES, size=(24, 24), dtype=np.uint8)
        photo = render(label_map, label_map.astype(np.int32), draw_style(rng), rng)
        assert photo.shape == (24, 24, 3)


def test_render_depends_on_maps_style_and_stream_alone() -> None:
    sample = Scenes("train", size=(64, 64))[0]
    assert sample.instance_map is not None
    style = draw_style(np.random.default_rng(5))
    photos = [
        render(sample.label_map, sample.instance_map, style, np.random.default_rng(7))
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*photos)


def test_sky_is_above_the_sea(val_samples: list[Sample]) -> None:
    for sample in val_samples:
        sky, sea = (np.nonzero(sample.label_map == label)[0] for label in (SKY, SEA))
        if sky.size and sea.size:
            assert sky.mean() < sea.mean()


@pytest.mark.parametrize(
    "arguments",
    [
        {"split": "test"},
        {"split": "val", "size": (8, 64)},
        {"split": "val", "seed": -1},
        {"split": "val", "length": 0},
    ],
)
def test_wrong_arguments_are_user_errors(arguments: dict[str, object]) -> None:
    with pytest.raises(UserError, match=r".+"):
        Scenes(**arguments)  # type: ignore[arg-type]


def test_speed() -> None:
    """More than 100 samples/s at 128x128 on one idle core; 15 leaves room for a busy machine."""
    dataset = Scenes("train")
    dataset[0]  # makes the noise tiles
    start = time.process_time()
    for index in range(30):
        dataset[index]
    assert 30 / (time.process_time() - start) > 15.0


def test_samples_go_on_beyond_the_split() -> None:
    """Fresh scenes: those that a longer split would have, under their own fingerprint."""
    whole, rest = Scenes("val", (32, 32), length=4), Scenes("val", (32, 32), length=2, first=2)
    assert rest.names == whole.names[2:] == ["val_00002", "val_00003"]
    for index in range(2):
        sample, expected = rest[index], whole[index + 2]
        assert sample.name == expected.name
        np.testing.assert_array_equal(sample.photo, expected.photo)
        np.testing.assert_array_equal(sample.label_map, expected.label_map)
        np.testing.assert_array_equal(rest.oracle_photo(index), whole.oracle_photo(index + 2))
    lengths = [Scenes("val", (32, 32), length=2, first=first) for first in (0, 1, 2)]
    assert len({scenes.fingerprint() for scenes in lengths}) == 3
    assert lengths[0].fingerprint() == Scenes("val", (32, 32), length=2).fingerprint()
