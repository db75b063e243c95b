# SPDX-License-Identifier: Apache-2.0
"""Folders as other people have them: read by one rule, or refused with the true reason."""

import os
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spade_eval.datasets.ade20k import Ade20k
from spade_eval.datasets.cityscapes import Cityscapes
from spade_eval.datasets.coco_stuff import CocoStuff
from spade_eval.datasets.file_dataset import FileDataset
from spade_eval.datasets.flickr_landscapes import FlickrLandscapes
from spade_eval.datasets.folder import Folder
from spade_eval.datasets.tools.check import check_files
from spade_eval.datasets.tools.coco_instances import write_instance_maps
from spade_eval.errors import UserError

Write = Callable[..., None]
SIZE = (20, 30)
MAP = np.zeros(SIZE, dtype=np.uint8)
DIVIDED = 'images = "images/{split}"\nlabels = "labels/{split}"\nclasses = ["a"]\n'


def names(kind: type[FileDataset], root: Path, split: str = "val") -> list[str]:
    return kind(split, SIZE, root).names


@pytest.fixture
def own(tmp_path: Path, write_map: Write, write_photo: Write) -> Callable[..., Path]:
    """Write pairs of files into these folders of an own dataset, and its description."""

    def write(pairs: dict[tuple[str, str], str], toml: str = DIVIDED) -> Path:
        for (photos, labels), stems in pairs.items():
            for stem in stems.split():
                write_photo(tmp_path / photos / f"{stem}.jpg")
                write_map(tmp_path / labels / f"{stem}.png", MAP)
        (tmp_path / "dataset.toml").write_text(toml)
        return tmp_path

    return write


@pytest.mark.parametrize("name", ["val", "validation", "valid"])
def test_a_split_has_other_names(own: Callable[..., Path], name: str) -> None:
    root = own({(f"images/{name}", f"labels/{name}"): "a b"})
    assert names(Folder, root) == names(FlickrLandscapes, root) == ["a", "b"]


def test_archives_lie_in_folders_of_their_own(
    tmp_path: Path, write_cityscapes: Write, write_ade: Callable[..., str],
    write_sample: Callable[..., object],
) -> None:  # fmt: skip
    write_cityscapes(tmp_path / "city", "ulm_000001_000019")
    for role in ("leftImg8bit", "gtFine"):
        shutil.move(tmp_path / "city" / role, tmp_path / "city" / f"{role}_trainvaltest" / role)
    assert names(Cityscapes, tmp_path / "city") == ["ulm_000001_000019"]
    stem = write_ade(tmp_path / "ade" / "ADEChallengeData2016" / "ADEChallengeData2016", 1, [3])
    assert names(Ade20k, tmp_path / "ade") == [stem]
    write_sample(tmp_path / "coco" / "x", "000001", layout="official", instances=False)
    photos = tmp_path / "coco" / "x" / "val2017"
    (photos / "val2017").mkdir()
    shutil.move(photos / "000001.png", photos / "val2017" / "000001.png")
    assert names(CocoStuff, tmp_path / "coco") == ["000001"]
    with pytest.raises(UserError, match=r"x: there is no annotations/instances_val2017\.json"):
        write_instance_maps(tmp_path / "coco", "val")


def test_two_places_are_refused_unless_one_is_the_published_one(
    tmp_path: Path, write_ade: Callable[..., str]
) -> None:
    one, other = (tmp_path / name for name in ("one", "other"))
    for root in (one, other):
        write_ade(root, 1, [3])
    with pytest.raises(UserError, match=r"one and .*other both hold photos and label maps of val"):
        Ade20k("val", SIZE, tmp_path)
    stem = write_ade(tmp_path / "ADEChallengeData2016", 2, [3])
    assert names(Ade20k, tmp_path) == [stem]


def test_half_a_split_below_is_none(tmp_path: Path, write_photo: Write) -> None:
    write_photo(tmp_path / "x" / "images" / "val" / "a.jpg")
    with pytest.raises(UserError, match="no folder of the split was found"):
        Ade20k("val", SIZE, tmp_path)


def test_folders_in_a_folder_are_read_through(own: Callable[..., Path], write_photo: Write) -> None:
    root = own({("images/val/x", "labels/val/y/z"): "a", ("images/val/y", "labels/val/y/w"): "b"})
    assert names(Folder, root) == ["a", "b"]
    write_photo(root / "images" / "val" / "y" / "a.jpg")
    with pytest.raises(UserError, match=r"val: x/a\.jpg and y/a\.jpg share one stem"):
        Folder("val", SIZE, root)


def test_frames_may_lie_flat(tmp_path: Path, write_cityscapes: Write) -> None:
    write_cityscapes(tmp_path, "ulm_000001_000019")
    for path in list(tmp_path.rglob("*.png")):
        path.rename(path.parent.parent / path.name)
    assert names(Cityscapes, tmp_path) == ["ulm_000001_000019"]


@pytest.mark.parametrize(
    "pair", [("images/{split}", "labels"), ("images", "labels/{split}"), ("images/{split}", "ids")]
)
def test_a_folder_for_all_splits(own: Callable[..., Path], pair: tuple[str, str]) -> None:
    photos, labels = pair
    toml = f'images = "{photos}"\nlabels = "{labels}"\nclasses = ["a"]\n'
    folders = {
        split: (photos.replace("{split}", split), labels.replace("{split}", split))
        for split in ("train", "val")
    }
    root = own({folders["train"]: "a b", folders["val"]: "c"}, toml)
    assert names(Folder, root, "train") == ["a", "b"]
    assert names(Folder, root) == ["c"]
    if labels == "labels" or photos == "images":
        assert names(FlickrLandscapes, root) == ["c"]
    shared = root / (labels if "{split}" in photos else photos)
    (shared / next(shared.glob("c.*")).name).with_stem("of_no_split").write_bytes(b"")
    with pytest.raises(UserError, match=r"1 files are missing .*\(of_no_split\)"):
        Folder("val", SIZE, root)


def test_splits_are_not_drawn_anew_from_folders_of_splits(own: Callable[..., Path]) -> None:
    toml = DIVIDED.replace("/{split}", "")
    root = own({("images/train", "labels/train"): "a", ("images/val", "labels/val"): "b"}, toml)
    with pytest.raises(
        UserError, match=r"holds the splits train and val, .* write images/\{split\}"
    ):
        Folder("val", SIZE, root)


def test_what_macos_leaves_is_not_read(
    tmp_path: Path, write_cityscapes: Write, write_ade: Callable[..., str]
) -> None:
    write_cityscapes(tmp_path, "ulm_000001_000019")
    write_ade(tmp_path, 1, [3, 150])
    for path in [path for path in tmp_path.rglob("*.*") if path.is_file()]:
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7")
    (tmp_path / "images" / "training").mkdir()
    (tmp_path / "images" / "training" / "._a_seg.png").write_bytes(b"\0\5\x16\7")
    cities = tmp_path / "gtFine" / "val"
    shutil.copytree(cities / "ulm", cities / "__MACOSX")
    for kind in (Cityscapes, Ade20k):
        report = check_files(kind, tmp_path)
        assert [split.num_samples for split in report.splits if split.split == "val"] == [1]
        assert not any("full ADE20K" in note for note in report.notes)
    assert names(Cityscapes, tmp_path) == ["ulm_000001_000019"]


def test_train_ids_beside_label_maps_are_not_read(
    tmp_path: Path, write_sample: Callable[..., object]
) -> None:
    write_sample(tmp_path, "000001")
    labels = tmp_path / "val_label"
    shutil.copy(labels / "000001.png", labels / "000001_labelTrainIds.png")
    assert names(CocoStuff, tmp_path) == ["000001"]
    (labels / "000001.png").unlink()
    with pytest.raises(UserError, match=r"1 _labelTrainIds\.png files were found; PNG is read"):
        CocoStuff("val", SIZE, tmp_path)


def test_accents_pair_however_they_are_written(own: Callable[..., Path]) -> None:
    root = own({("images/val", "labels/val"): "caf\u00e9"})
    path = root / "labels" / "val" / "caf\u00e9.png"
    path.rename(path.with_stem(unicodedata.normalize("NFD", path.stem)))
    assert names(Folder, root) == ["caf\u00e9"]
    assert Folder("val", SIZE, root)[0].label_map.shape == SIZE
    shutil.copy(next(path.parent.iterdir()), path)
    with pytest.raises(UserError, match="share one stem"):
        Folder("val", SIZE, root)


def test_names_that_are_no_text_are_refused(own: Callable[..., Path]) -> None:
    root = own({("images/val", "labels/val"): "a"})
    for role in ("images", "labels"):
        (path,) = (root / role / "val").iterdir()
        path.rename(path.with_stem(os.fsdecode(b"caf\xe9")))
    with pytest.raises(UserError, match=r"the name 'caf\\udce9\.jpg' is not UTF-8") as raised:
        Folder("val", SIZE, root)
    str(raised.value).encode()
    (problem,) = [line for line in check_files(Folder, root).problems if "not UTF-8" in line]
    assert problem.startswith("val: ")


@pytest.mark.parametrize("ending", [".npy", ".jpg", ".tif", ".bmp", ".gif", ".mat"])
def test_label_files_of_another_format_are_named(own: Callable[..., Path], ending: str) -> None:
    root = own({("images/val", "labels/val"): "a b c"})
    for stem in ("a", "b"):
        path = root / "labels" / "val" / f"{stem}.png"
        path.rename(path.with_suffix(ending))
    with pytest.raises(
        UserError, match=rf"2 files are missing .* 2 \{ending} files were found; PNG is read"
    ):
        Folder("val", SIZE, root)


def test_photos_of_another_format_are_named(own: Callable[..., Path]) -> None:
    root = own({("images/val", "labels/val"): "a"})
    photo = root / "images" / "val" / "a.jpg"
    photo.rename(photo.with_suffix(".heic"))
    with pytest.raises(UserError, match=r"1 \.heic files were found; \.png, .* are read"):
        Folder("val", SIZE, root)
    shutil.rmtree(root / "labels" / "val")
    (root / "labels" / "val").mkdir()
    with pytest.raises(UserError, match=r"val holds no photos \(1 \.heic inside\)"):
        Folder("val", SIZE, root)
