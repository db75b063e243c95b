# SPDX-License-Identifier: Apache-2.0
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spade_eval.datasets.base import Dataset
from spade_eval.datasets.coco_stuff import CocoStuff
from spade_eval.datasets.cocostuff_classes import CLASS_NAMES, NEVER_ANNOTATED, PALETTE
from spade_eval.errors import UserError

WriteSample = Callable[..., Any]


def refusal(root: Path, split: str = "val") -> str:
    with pytest.raises(UserError) as caught:
        CocoStuff(split, (32, 32), root)
    message = str(caught.value)
    assert "\n" not in message
    return message


def assert_same(first: Any, second: Any) -> None:
    assert first.name == second.name
    np.testing.assert_array_equal(first.label_map, second.label_map)
    np.testing.assert_array_equal(first.instance_map, second.instance_map)
    np.testing.assert_array_equal(first.photo, second.photo)


def test_class_list() -> None:
    assert len(CLASS_NAMES) == 182
    assert len(set(CLASS_NAMES)) == 182
    assert [CLASS_NAMES[i] for i in (0, 90, 91, 168, 181)] == [
        "person",
        "hair brush",
        "banner",
        "tree",
        "wood",
    ]
    # The eleven names are those the COCO-Stuff project lists as never annotated.
    assert sorted(CLASS_NAMES[index] for index in NEVER_ANNOTATED) == [
        "blender",
        "desk",
        "door",
        "eye glasses",
        "hair brush",
        "hat",
        "mirror",
        "plate",
        "shoe",
        "street sign",
        "window",
    ]
    assert len(set(PALETTE)) == 182


def test_both_layouts_give_samples(tiny_root: Path, write_sample: WriteSample) -> None:
    dataset: Dataset = CocoStuff("val", (30, 40), tiny_root)
    assert dataset.names == ["000002", "000003", "000010"]
    assert len(dataset) == 3
    assert dataset.has_instances
    sample = dataset[2]
    photo, label_map, instance_map = write_sample(tiny_root, "000010")
    assert sample.name == "000010"
    assert sample.instance_map is not None
    np.testing.assert_array_equal(sample.photo, photo)
    np.testing.assert_array_equal(sample.label_map, label_map)
    np.testing.assert_array_equal(sample.instance_map, instance_map.astype(np.int32))
    assert (sample.photo.dtype, sample.label_map.dtype) == (np.uint8, np.uint8)
    assert sample.instance_map.dtype == np.int32


@pytest.mark.parametrize("photos", ["val2017", "images/val2017"])
@pytest.mark.parametrize("labels", ["stuffthingmaps/val2017", "annotations/val2017"])
def test_folder_names_of_the_official_archives(
    tmp_path: Path, write_sample: WriteSample, photos: str, labels: str
) -> None:
    write_sample(tmp_path / "made", "000001", instances=False)
    shutil.copytree(tmp_path / "made" / "val_img", tmp_path / "data" / photos)
    shutil.copytree(tmp_path / "made" / "val_label", tmp_path / "data" / labels)
    dataset = CocoStuff("val", (32, 32), tmp_path / "data")
    assert not dataset.has_instances
    assert dataset[0].instance_map is None


def test_samples_have_the_asked_size(tiny_root: Path) -> None:
    dataset = CocoStuff("val", (32, 64), tiny_root)
    for sample in (dataset[0], dataset.training_sample(0, epoch=0, seed=0)):
        assert sample.instance_map is not None
        assert sample.photo.shape == (32, 64, 3)
        assert sample.label_map.shape == sample.instance_map.shape == (32, 64)
        assert set(np.unique(sample.label_map)) <= {0, 3, 91, 181, 255}
        assert set(np.unique(sample.instance_map)) <= {7, 300, 40000, 65535}


def test_training_samples_depend_on_seed_epoch_and_index_alone(tiny_root: Path) -> None:
    dataset = CocoStuff("val", (64, 64), tiny_root)
    first = dataset.training_sample(1, epoch=4, seed=9)
    dataset.training_sample(2, epoch=0, seed=0)
    np.random.default_rng(0).random()
    assert_same(first, CocoStuff("val", (64, 64), tiny_root).training_sample(1, epoch=4, seed=9))
    photos = {
        dataset.training_sample(1, epoch=epoch, seed=seed).photo.tobytes()
        for epoch in range(4)
        for seed in range(4)
    }
    # 9 x 9 positions and a flip: 16 draws that nearly all coincide would mean a dead argument.
    assert len(photos) > 8


def test_dataset_survives_pickling(tiny_root: Path) -> None:
    dataset = CocoStuff("val", (32, 32), tiny_root)
    assert_same(pickle.loads(pickle.dumps(dataset))[1], dataset[1])


def test_nothing_found_says_what_to_get(tmp_path: Path) -> None:
    message = refusal(tmp_path)
    for part in (
        str(tmp_path),
        "http://images.cocodataset.org/zips/val2017.zip (1 GB)",
        "stuffthingmaps_trainval2017.zip (659 MB)",
        "--dataset scenes",
        "val_label/",
    ):
        assert part in message
    assert "train2017.zip (18 GB)" in refusal(tmp_path, "train")
    with pytest.raises(UserError, match="none was given"):
        CocoStuff("val", (32, 32))


def test_missing_label_folder_is_named(tmp_path: Path, write_sample: WriteSample) -> None:
    write_sample(tmp_path, "000001")
    shutil.rmtree(tmp_path / "val_label")
    assert f"only {tmp_path / 'val_img'} was found" in refusal(tmp_path)


def test_unknown_split_is_refused(tmp_path: Path) -> None:
    assert "Known: train, val" in refusal(tmp_path, "validation")


def test_unmatched_files_are_counted_and_named(tmp_path: Path, write_sample: WriteSample) -> None:
    for number in range(10):
        write_sample(tmp_path, f"{number:06d}")
    for number in range(7):
        (tmp_path / "val_label" / f"{number:06d}.png").unlink()
    (tmp_path / "val_img" / "000009.png").unlink()
    message = refusal(tmp_path)
    labels, photos = str(tmp_path / "val_label"), str(tmp_path / "val_img")
    assert f"{labels}: 7 files are missing" in message
    assert "000000, 000001, 000002, 000003, 000004, ... (7 in all)" in message
    assert f"{photos}: 1 files are missing" in message
    assert "000009" in message


def test_empty_folders_are_refused(tmp_path: Path) -> None:
    for name in ("val_img", "val_label"):
        (tmp_path / name).mkdir()
    assert "holds no photos" in refusal(tmp_path)


def test_files_of_different_sizes_are_refused(tmp_path: Path, write_sample: WriteSample) -> None:
    write_sample(tmp_path, "000001", size=(30, 40))
    Image.new("L", (30, 40)).save(tmp_path / "val_label" / "000001.png")
    with pytest.raises(UserError, match=r"000001\.png: 40x30 .* 30x40 was expected"):
        CocoStuff("val", (32, 32), tmp_path)[0]


def test_fingerprint_tells_data_apart(tmp_path: Path, write_sample: WriteSample) -> None:
    for layout in ("spade", "official"):
        for stem in ("000001", "000002"):
            write_sample(tmp_path / layout, stem, layout=layout)
    first = CocoStuff("val", (32, 32), tmp_path / "spade").fingerprint()
    assert len(first) == 64
    assert CocoStuff("val", (32, 32), tmp_path / "official").fingerprint() == first
    assert CocoStuff("val", (32, 64), tmp_path / "spade").fingerprint() != first
    write_sample(tmp_path / "spade", "000003")
    assert CocoStuff("val", (32, 32), tmp_path / "spade").fingerprint() != first


def test_real_sample_files(sample_root: Path) -> None:
    for split, count in (("train", 13), ("val", 8)):
        dataset = CocoStuff(split, (64, 64), sample_root)
        assert len(dataset) == count
        assert dataset.has_instances
        for index in range(count):
            sample = dataset[index]
            assert sample.photo.shape == (64, 64, 3)
            assert sample.label_map[sample.label_map != 255].max() <= 180
            assert not set(NEVER_ANNOTATED) & set(np.unique(sample.label_map).tolist())
