# SPDX-License-Identifier: Apache-2.0
"""Positional maps of label files: where they lie, when they are read, how they are placed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from spade_eval.batches import layout_of, semantic_map, training_batch
from spade_eval.datasets.ade20k import Ade20k
from spade_eval.datasets.cityscapes import Cityscapes
from spade_eval.datasets.coco_stuff import CocoStuff
from spade_eval.datasets.file_dataset import FileDataset
from spade_eval.datasets.positional_maps import encoded, read_positions
from spade_eval.datasets.preprocess import Placement, training
from spade_eval.datasets.scenes import Scenes
from spade_eval.datasets.tools.positional_maps import write_positional_maps
from spade_eval.errors import UserError
from spade_eval.models.inputs import Noise
from spade_eval.models.positions import mirrored, positional_map

Write = Callable[..., Any]


@pytest.fixture
def ade(tmp_path: Path, write_ade: Write) -> Ade20k:
    """Two maps of vertical stripes, a third of the pixels "other"."""
    for number in (1, 2):
        write_ade(tmp_path, number, [0] * 3 + [number] * 4 + [2] * 3)
    return Ade20k("val", (20, 30), tmp_path)


@pytest.fixture
def coco(tmp_path: Path, write_sample: Write) -> CocoStuff:
    write_sample(tmp_path, "000001", layout="official")
    return CocoStuff("val", (30, 40), tmp_path)


@pytest.fixture
def city(tmp_path: Path, write_cityscapes: Write) -> Cityscapes:
    for frame in ("bonn_000000_000001", "ulm_000000_000002"):
        write_cityscapes(tmp_path, frame)
    return Cityscapes("val", (20, 40), tmp_path)


def raw_positions(dataset: FileDataset, index: int) -> np.ndarray:
    """Of the numbers in the file: 0 has none, whatever it means."""
    file = dataset.files[dataset.names[index]].label_map
    with Image.open(file) as image:
        return positional_map(np.array(image), 0)


@pytest.mark.parametrize("name", ["ade", "coco", "city"])
def test_value_0_of_the_files_has_none(name: str, request: pytest.FixtureRequest) -> None:
    dataset = request.getfixturevalue(name)
    positions = dataset[0].positions
    assert positions is not None
    np.testing.assert_array_equal(positions(), raw_positions(dataset, 0))
    assert positions().any() == (name != "city"), "whose regions are single pixels here"


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("ade", ["distances/validation/ADE_val_00000001.npy",
                 "distances/validation/ADE_val_00000002.npy"]),
        ("coco", ["val_dist/000001.npy"]),
        ("city", ["gtFine/val/bonn/bonn_000000_000001_gtFine_distance.npy",
                  "gtFine/val/ulm/ulm_000000_000002_gtFine_distance.npy"]),
    ],
)  # fmt: skip
def test_files_lie_as_in_the_released_data(
    name: str, places: list[str], request: pytest.FixtureRequest
) -> None:
    dataset = request.getfixturevalue(name)
    written = write_positional_maps(dataset)
    assert (written.written, written.kept) == (len(places), 0)
    assert sorted(dataset.root.rglob("*.npy")) == [dataset.root / place for place in places]
    for index, place in enumerate(places):
        stored = np.load(dataset.root / place)
        assert stored.dtype == np.float32
        np.testing.assert_array_equal(stored, raw_positions(dataset, index))
    assert len(type(dataset)(dataset.split, dataset.size, dataset.root)) == len(places)
    (dataset.root / places[0]).unlink()
    again = write_positional_maps(dataset)
    assert (again.written, again.kept) == (1, len(places) - 1)


def opened_again(dataset: Ade20k) -> np.ndarray:
    positions = Ade20k("val", dataset.size, dataset.root)[0].positions
    assert positions is not None
    return positions()


def test_a_file_is_read_while_it_belongs_to_its_label_file(ade: Ade20k) -> None:
    computed = raw_positions(ade, 0)
    write_positional_maps(ade)
    file = ade.root / "distances" / "validation" / f"{ade.names[0]}.npy"
    file.write_bytes(encoded(computed / 2))
    np.testing.assert_array_equal(opened_again(ade), computed / 2)  # it is what was read
    label_file = ade.files[ade.names[0]].label_map
    Image.fromarray(np.full((20, 30), 7, np.uint8)).save(label_file)
    np.testing.assert_array_equal(opened_again(ade), raw_positions(ade, 0))
    with pytest.raises(UserError, match="made from others than are there now"):
        write_positional_maps(ade)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", encoded(np.ones((2, 20, 31), np.float32))])
def test_a_damaged_file_is_computed_anew(ade: Ade20k, content: bytes) -> None:
    write_positional_maps(ade)
    (ade.root / "distances" / "validation" / f"{ade.names[0]}.npy").write_bytes(content)
    np.testing.assert_array_equal(opened_again(ade), raw_positions(ade, 0))


def test_numbers_that_are_no_positions_are_not_read(tmp_path: Path) -> None:
    file = tmp_path / "a.npy"
    for value, fits in ((0.5, True), (1.5, False), (np.nan, False)):
        file.write_bytes(encoded(np.full((2, 3, 4), value, np.float32)))
        assert (read_positions(file, (3, 4)) is not None) == fits
    assert read_positions(tmp_path / "absent.npy", (3, 4)) is None


def test_files_of_others_are_neither_read_nor_overwritten(ade: Ade20k) -> None:
    file = ade.root / "distances" / "validation" / f"{ade.names[0]}.npy"
    file.parent.mkdir(parents=True)
    file.write_bytes(encoded(np.zeros((2, 20, 30), np.float32)))
    np.testing.assert_array_equal(opened_again(ade), raw_positions(ade, 0))
    with pytest.raises(UserError, match="1 files were not made by this command"):
        write_positional_maps(ade)


def test_a_damaged_mark_is_none(ade: Ade20k) -> None:
    write_positional_maps(ade)
    for text in ("", "[]", '{"sources": 3}'):
        (ade.root / "distances" / "validation" / ".made_by_spade_eval.json").write_text(text)
        np.testing.assert_array_equal(opened_again(ade), raw_positions(ade, 0))


@pytest.mark.parametrize("flip", [False, True])
def test_positions_are_placed_pixel_for_pixel_as_labels(flip: bool) -> None:
    """Resized, cropped and mirrored; a horizontal offset changes its sign in the mirror."""
    ids = np.random.default_rng(0).integers(0, 256, (37, 53)).astype(np.uint8)
    settings, placement = training((32, 32)), Placement(top=2, left=1, flip=flip)
    labels = settings.apply_map(ids, placement).astype(np.float32)
    placed = settings.apply_positions(np.stack([ids, ids]).astype(np.float32), placement)
    np.testing.assert_array_equal(placed, np.stack([labels, -labels if flip else labels]))


def test_training_samples_say_whether_they_are_mirrored(ade: Ade20k) -> None:
    plain = Ade20k("val", (18, 26), ade.root)
    flips = set()
    for epoch in range(8):
        sample = plain.training_sample(0, epoch, 0)
        assert sample.positions is not None
        assert sample.positions().shape == (2, 18, 26)
        placement = plain._training.draw((20, 30), _random(0, epoch, 0))
        assert sample.mirrored == placement.flip
        expected = plain._training.apply_positions(raw_positions(plain, 0), placement)
        np.testing.assert_array_equal(sample.positions(), expected)
        flips.add(sample.mirrored)
    assert flips == {False, True}
    assert not plain[0].mirrored


def _random(*words: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))


def test_networks_get_the_positions_of_the_stored_map(ade: Ade20k) -> None:
    """Those of a resized map would be others: regions merge and vanish."""
    small = Ade20k("val", (10, 10), ade.root)
    samples, layout = [small[0], small[1]], layout_of(small)
    found = semantic_map(samples, layout, torch.device("cpu")).positions_at((10, 10))
    for index, sample in enumerate(samples):
        assert sample.positions is not None
        np.testing.assert_array_equal(found[index].numpy(), sample.positions())
    resized = positional_map(samples[0].label_map, 255)
    assert np.abs(found[0].numpy() - resized).max() > 0.01


def test_scenes_have_those_of_their_maps() -> None:
    scenes = Scenes("train", (32, 32))
    epochs = [scenes.training_sample(0, epoch, 0) for epoch in range(8)]
    assert {sample.mirrored for sample in epochs} == {False, True}
    batch = training_batch(epochs, epochs, layout_of(scenes), Noise.of_step(0, 0, 0, 8))
    assert batch.mirrored is not None
    assert batch.mirrored.tolist() == [sample.mirrored for sample in epochs]
    plain = positional_map(scenes[0].label_map)
    for sample, found in zip(epochs, batch.semantics.positions_at((32, 32)), strict=True):
        expected = mirrored(plain) if sample.mirrored else plain
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)
