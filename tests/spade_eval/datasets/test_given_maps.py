# SPDX-License-Identifier: Apache-2.0
"""Damaged and sparse label maps, each against its definition pixel by pixel."""

from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from spade_eval.datasets.base import Sample
from spade_eval.datasets.given_maps import (
    DAMAGED,
    LEAST_MASK,
    SPARSE,
    WHOLE,
    downsampled,
    given_sample,
    near_edges,
)
from spade_eval.datasets.scenes import Scenes
from spade_eval.models.choices import GivenMaps
from spade_eval.models.labels import IGNORE_INDEX
from spade_eval.protocol import DAMAGE, MASKS

CHANGES = (*DAMAGED, *SPARSE)
SAMPLES = [Scenes("val", (64, 64), length=4)[index] for index in range(4)]


def drawn(shape: tuple[int, int], seed: int = 0) -> NDArray[np.uint8]:
    """Blocks of classes, some of them without one."""
    blocks = np.random.default_rng(seed).integers(0, 5, (shape[0] // 4 + 1, shape[1] // 4 + 1))
    labels = np.kron(blocks, np.ones((4, 4)))[: shape[0], : shape[1]].astype(np.uint8)
    return np.where(labels == 4, np.uint8(IGNORE_INDEX), labels)


def test_names_are_those_of_the_protocol() -> None:
    assert (WHOLE, *CHANGES) == get_args(GivenMaps)
    assert (tuple(DAMAGE), tuple(MASKS)) == (DAMAGED, SPARSE)


@pytest.mark.parametrize("shape", [(256, 256), (64, 64), (30, 45), (3, 2)])
def test_downsampling_is_pillows_nearest_there_and_back(shape: tuple[int, int]) -> None:
    labels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    small = Image.fromarray(labels).resize(
        (max(shape[1] // 4, 1), max(shape[0] // 4, 1)), Image.Resampling.NEAREST
    )
    back = small.resize((shape[1], shape[0]), Image.Resampling.NEAREST)
    assert np.array_equal(downsampled(labels), np.asarray(back))


@pytest.mark.parametrize("shape", [(9, 13), (1, 9), (9, 1), (2, 2)])
def test_edges_by_their_definition(shape: tuple[int, int]) -> None:
    labels = drawn(shape)
    expected = np.zeros(shape, dtype=bool)
    for row in range(shape[0]):
        for column in range(shape[1]):
            for other in np.ndindex(shape):
                is_near = abs(other[0] - row) + abs(other[1] - column) <= 2
                expected[row, column] |= is_near and labels[other] != labels[row, column]
    assert np.array_equal(near_edges(labels), expected)
    assert expected.any() or min(shape) <= 2


def test_random_takes_a_tenth_by_the_name_alone() -> None:
    one = SAMPLES[0]
    absent = given_sample(one, "random").label_map == IGNORE_INDEX
    assert absent.sum() == round(0.1 * absent.size)
    again = given_sample(one, "random").label_map == IGNORE_INDEX
    other = given_sample(SAMPLES[1], "random").label_map == IGNORE_INDEX
    assert np.array_equal(absent, again)
    assert not np.array_equal(absent, other)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda item: item.name)
def test_masks_by_their_definition(sample: Sample) -> None:
    """A mask is a class and an instance; those of 5% stay, or one to three of them."""
    assert sample.instance_map is not None
    pairs = list(zip(sample.label_map.ravel(), sample.instance_map.ravel(), strict=True))
    large = {pair for pair in set(pairs) if pairs.count(pair) >= LEAST_MASK * len(pairs)}
    shown = given_sample(sample, "large").label_map.ravel()
    expected = [label if (label, ids) in large else 255 for label, ids in pairs]
    assert np.array_equal(shown, expected)
    few = given_sample(sample, "few").label_map.ravel()
    kept = {pair for pair, label in zip(pairs, few, strict=True) if label != IGNORE_INDEX}
    assert 1 <= len(kept) <= 3
    assert kept <= large
    assert np.array_equal(few, [label if (label, ids) in kept else 255 for label, ids in pairs])


def test_one_two_and_three_masks_are_drawn() -> None:
    blocks = np.kron(np.arange(9).reshape(3, 3), np.ones((4, 4))).astype(np.uint8)
    photo, counts = np.zeros((12, 12, 3), np.uint8), set()
    for number in range(30):
        sample = Sample(name=f"{number}", label_map=blocks, instance_map=None, photo=photo)
        shown = given_sample(sample, "few").label_map
        counts.add(len(np.unique(shown[shown != IGNORE_INDEX])))
    assert counts == {1, 2, 3}


def test_of_small_masks_the_largest_stays() -> None:
    labels = np.repeat(np.arange(25, dtype=np.uint8), 16)  # of 400 pixels: 4% each
    labels[16:19] = 0  # 19 pixels, one short of 5%
    sample = Sample(
        name="a", label_map=labels.reshape(20, 20), instance_map=None,
        photo=np.zeros((20, 20, 3), np.uint8),
    )  # fmt: skip
    for how in SPARSE:
        shown = given_sample(sample, how).label_map
        assert np.array_equal(shown == 0, sample.label_map == 0)
        assert set(np.unique(shown).tolist()) == {0, IGNORE_INDEX}


@pytest.mark.parametrize("how", CHANGES)
def test_nothing_but_the_maps_changes_and_no_edge_tells(how: str) -> None:
    sample = SAMPLES[0]
    before = sample.label_map.copy()
    given = given_sample(sample, how)
    assert given.is_given
    assert given.photo is sample.photo
    assert np.array_equal(sample.label_map, before)
    assert (given.label_map.dtype, given.label_map.shape) == (np.uint8, before.shape)
    assert given.instance_map is not None
    assert (given.label_map != before).any()
    assert not given.instance_map[given.label_map == IGNORE_INDEX].any()
    assert given_sample(sample, WHOLE) is sample
