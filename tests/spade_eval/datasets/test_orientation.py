# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spade_eval.datasets.base import photo_notes_of
from spade_eval.datasets.files import read_photo
from spade_eval.datasets.folder import Folder
from spade_eval.datasets.orientation import is_turned
from spade_eval.datasets.tools.check import check_files

ORIENTATION = 0x0112


def write(path: Path, orientation: int | None) -> None:
    exif = Image.Exif()
    if orientation is not None:
        exif[ORIENTATION] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((4, 6, 3), dtype=np.uint8)
    pixels[:2] = 255
    Image.fromarray(pixels).save(path, exif=exif)


@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
@pytest.mark.parametrize("orientation", [None, 1, 3, 6, 8])
def test_turned_photos_are_known_by_their_header(
    tmp_path: Path, ending: str, orientation: int | None
) -> None:
    path = tmp_path / f"a.{ending}"
    write(path, orientation)
    assert is_turned(path) == (orientation in (3, 6, 8))
    photo = read_photo(path)
    assert photo.shape == (4, 6, 3)  # as stored
    assert photo[0].mean() > 200 > photo[-1].mean()


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0II*\0" + bytes([255] * 8), b"nothing"])
def test_damaged_tags_turn_nothing(tmp_path: Path, exif: bytes) -> None:
    for name in ("a.jpg", "a.png"):
        Image.new("RGB", (4, 4)).save(tmp_path / name, exif=exif)
        assert not is_turned(tmp_path / name)


def test_a_check_names_turned_photos(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    for name, orientation in {"a": 3, "b": None, "c": 1, "d": 6}.items():
        write(tmp_path / "images" / "val" / f"{name}.jpg", orientation)
        labels = tmp_path / "labels" / "val" / f"{name}.png"
        labels.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6) % 2).save(labels)
    (tmp_path / "dataset.toml").write_text(
        'images = "images/{split}"\nlabels = "labels/{split}"\nclasses = ["x", "y"]\n'
    )
    report = check_files(Folder, tmp_path)
    (note,) = [line for line in report.lines() if "EXIF" in line]
    assert note.startswith("note: val: 2 photos")
    assert "(a.jpg, d.jpg)" in note
    assert not report.problems
    assert [f"note: val: {line}" for line in photo_notes_of(Folder("val", (4, 6), tmp_path))] == [
        note
    ]
