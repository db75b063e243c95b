# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spade_eval.datasets import ade20k_outdoor
from spade_eval.datasets.ade20k import Ade20k
from spade_eval.datasets.ade20k_classes import CLASS_NAMES, COLOURS
from spade_eval.datasets.ade20k_outdoor import Ade20kOutdoor
from spade_eval.datasets.base import set_name_of
from spade_eval.datasets.files import LabelValueError
from spade_eval.datasets.tools.check import check_files
from spade_eval.errors import UserError

WriteAde = Callable[..., str]


def test_classes() -> None:
    assert len(CLASS_NAMES) == len(COLOURS) == 150
    assert [CLASS_NAMES[index] for index in (0, 2, 149)] == ["wall", "sky", "flag"]
    assert COLOURS[2] == (6, 230, 230)


def test_raw_values_become_labels(tmp_path: Path, write_ade: WriteAde) -> None:
    write_ade(tmp_path, 1, [0, 1, 3, 150])
    dataset = Ade20k("val", (20, 30), tmp_path)
    assert dataset.names == ["ADE_val_00000001"]
    assert not dataset.has_instances
    sample = dataset[0]
    assert sample.label_map[0, :4].tolist() == [255, 0, 2, 149]
    assert sample.instance_map is None


@pytest.mark.parametrize("place", ["", "ADEChallengeData2016", "ade20k"])
def test_data_root_is_the_archives_folder_or_its_parent(
    tmp_path: Path, write_ade: WriteAde, place: str
) -> None:
    write_ade(tmp_path / place, 1, [5], split="train")
    assert len(Ade20k("train", (20, 30), tmp_path)) == 1


@pytest.mark.parametrize("values", [[255, 0, 149], [200, 1]])
def test_values_of_another_numbering_are_refused(
    tmp_path: Path, write_ade: WriteAde, values: list[int]
) -> None:
    write_ade(tmp_path, 1, values)
    with pytest.raises(
        LabelValueError, match=r"1\.\.150 or 0 \(unlabelled\) were expected"
    ) as raised:
        Ade20k("val", (20, 30), tmp_path)[0]
    assert raised.value.values == (values[0],)


@pytest.mark.parametrize(
    "mark",
    [
        "ADE20K_2016_07_26/images/training/a/abbey/ADE_train_00000970_seg.png",
        "images/ADE/training/urban/street/ADE_train_00016869_seg.png",
        "ADE20K_2021_17_01/index_ade20k.pkl",
        "images/training/a/abbey/ADE_train_00000970.jpg",
    ],
)
def test_the_full_release_is_told_apart(tmp_path: Path, mark: str) -> None:
    (tmp_path / mark).parent.mkdir(parents=True)
    (tmp_path / mark).touch()
    for kind in (Ade20k, Ade20kOutdoor):
        with pytest.raises(UserError, match=r"full ADE20K .* SceneParse150 .* was expected"):
            kind("train", (20, 30), tmp_path)


def test_check_says_which_release_it_is(tmp_path: Path, write_ade: WriteAde) -> None:
    write_ade(tmp_path, 1, [0, 1, 3, 150])
    lines = check_files(Ade20k, tmp_path).lines()
    assert any("release: SceneParse150" in line for line in lines)
    assert any("val: 1 samples (of 2000)" in line for line in lines)
    assert any("absent" in line and "images/training/" in line for line in lines)
    (tmp_path / "index_ade20k.pkl").touch()
    assert "the full ADE20K lies there too" in "\n".join(check_files(Ade20k, tmp_path).lines())


def test_outdoor_rule() -> None:
    def label_map(*names: str) -> np.ndarray:
        return np.array([[CLASS_NAMES.index(name) for name in names]], dtype=np.uint8)

    assert ade20k_outdoor.is_outdoor(label_map("sky", "building"))
    assert ade20k_outdoor.is_outdoor(label_map("earth", "wall"))
    assert not ade20k_outdoor.is_outdoor(label_map("building", "road"))
    assert not ade20k_outdoor.is_outdoor(label_map("sky", "bed"))
    assert not ade20k_outdoor.is_outdoor(label_map("mountain", "ceiling"))
    assert not ade20k_outdoor.is_outdoor(np.full((2, 2), 255, dtype=np.uint8))


def test_outdoor_set_is_named_after_its_list(tmp_path: Path, write_ade: WriteAde) -> None:
    outdoor = [write_ade(tmp_path, number, [3, 2]) for number in (4, 2)]
    write_ade(tmp_path, 3, [3, 8])  # sky in the window of a bedroom
    with pytest.raises(UserError, match="prepare ade20k_outdoor"):
        Ade20kOutdoor("val", (20, 30), tmp_path)
    assert ade20k_outdoor.write_list(tmp_path, "val", workers=2) == sorted(outdoor)
    first = Ade20kOutdoor("val", (20, 30), tmp_path)
    assert first.names == sorted(outdoor)
    digits = ade20k_outdoor.list_sha256(outdoor)[:8]
    assert set_name_of(first) == f"ADE20K-outdoor (list {digits})"
    assert set_name_of(Ade20k("val", (20, 30), tmp_path)) == "ade20k"
    assert any(digits in note for note in check_files(Ade20kOutdoor, tmp_path).notes)

    path = ade20k_outdoor.list_file(tmp_path, "val")
    assert digits in path.read_text()
    path.write_text(f"# of someone else\n{outdoor[0]}.jpg\n")
    other = Ade20kOutdoor("val", (20, 30), tmp_path)
    assert other.names == outdoor[:1]
    assert other.set_name != first.set_name
    assert other.fingerprint() != first.fingerprint()
    assert ade20k_outdoor.write_list(tmp_path, "val") == outdoor[:1], "a list is never replaced"
    path.write_text("ADE_val_00000099\n")
    with pytest.raises(UserError, match="1 names have no photo"):
        Ade20kOutdoor("val", (20, 30), tmp_path)


def test_order_of_a_list_does_not_change_its_name() -> None:
    assert ade20k_outdoor.list_sha256(["b", "a"]) == ade20k_outdoor.list_sha256(["a", "b"])


def test_truncated_photo_is_named(tmp_path: Path, write_ade: WriteAde) -> None:
    stem = write_ade(tmp_path, 1, [3])
    photo = tmp_path / "images" / "validation" / f"{stem}.jpg"
    photo.write_bytes(photo.read_bytes()[:-200])
    with pytest.raises(UserError, match=rf"{stem}\.jpg: cannot be decoded"):
        Ade20k("val", (20, 30), tmp_path)[0]


def test_palette_png_is_refused(tmp_path: Path, write_ade: WriteAde) -> None:
    stem = write_ade(tmp_path, 1, [3])
    path = tmp_path / "annotations" / "validation" / f"{stem}.png"
    Image.new("RGB", (30, 20), (6, 230, 230)).quantize(4).save(path)
    with pytest.raises(UserError, match="palette image of mode P"):
        Ade20k("val", (20, 30), tmp_path)[0]
