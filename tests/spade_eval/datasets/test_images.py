# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spade_eval.datasets.images import ImageFolder
from spade_eval.errors import UserError

NAMES = ["000001", "000002", "000003"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate(NAMES):
        write(tmp_path / f"{name}.png", number)
    return tmp_path


def write(path: Path, number: int = 0, size: tuple[int, int] = (8, 16)) -> np.ndarray:
    pixels = np.random.default_rng(number).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def refusal(directory: Path, names: list[str] = NAMES, size: tuple[int, int] = (8, 16)) -> str:
    with pytest.raises(UserError) as caught:
        ImageFolder(directory, names, size)
    message = str(caught.value)
    assert "\n" not in message
    assert str(directory) in message
    return message


def test_images_come_in_the_order_of_names_as_stored(folder: Path) -> None:
    images = ImageFolder(folder, list(reversed(NAMES)), (8, 16))
    assert len(images) == 3
    for index, number in enumerate((2, 1, 0)):
        expected = np.random.default_rng(number).integers(0, 256, (8, 16, 3), dtype=np.uint8)
        np.testing.assert_array_equal(images[index], expected)


@pytest.mark.parametrize("extension", ["jpg", "JPEG", "webp", "bmp", "PNG"])
def test_extensions_in_any_case(tmp_path: Path, extension: str) -> None:
    write(tmp_path / f"a.{extension}")
    image = ImageFolder(tmp_path, ["a"], (8, 16))[0]
    assert image.shape == (8, 16, 3)
    assert image.dtype == np.uint8


def test_missing_folder_and_single_file(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "none")
    write(tmp_path / "a.png")
    assert "is a file" in refusal(tmp_path / "a.png")


def test_empty_folder_says_extensions_and_count(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    message = refusal(tmp_path)
    assert "0 images among 1 entries" in message
    assert ".png, .jpg, .jpeg, .webp, .bmp" in message


def test_missing_images_are_counted_and_named(folder: Path) -> None:
    (folder / "000002.png").unlink()
    message = refusal(folder)
    assert "1 images are missing (000002)" in message
    assert "2 images were found" in message


def test_extra_images_are_refused(folder: Path) -> None:
    for number in range(7):
        write(folder / f"x{number}.png")
    assert "7 belong to no sample (x0, x1, x2, x3, x4, ... (7 in all))" in refusal(folder)


def test_two_images_of_one_stem_are_refused(folder: Path) -> None:
    write(folder / "000001.jpg")
    assert "000001.jpg and 000001.png share one stem" in refusal(folder)


def test_other_size_names_both_and_what_to_do(folder: Path) -> None:
    message = refusal(folder, size=(256, 512))
    assert "3 of 8x16" in message
    assert "scored as they are, so generate or resize them to 256x512" in message


def test_mixed_sizes_are_counted(folder: Path) -> None:
    write(folder / "000003.png", size=(16, 16))
    message = refusal(folder)
    assert "different sizes, 2 of 8x16 (such as 000001.png), 1 of 16x16" in message


def test_undecodable_images(folder: Path) -> None:
    content = (folder / "000001.png").read_bytes()
    (folder / "000001.png").write_bytes(content[:-60])  # the header is whole, the pixels are not
    with pytest.raises(UserError, match=r"000001\.png: cannot be decoded"):
        ImageFolder(folder, NAMES, (8, 16))[0]
    (folder / "000001.png").write_bytes(b"no image")
    assert "000001.png: cannot be decoded" in refusal(folder)


def test_content_hash_follows_names_and_bytes(folder: Path) -> None:
    first = ImageFolder(folder, NAMES, (8, 16)).content_sha256()
    assert len(first) == 64
    assert ImageFolder(folder, NAMES[::-1], (8, 16)).content_sha256() == first
    write(folder / "000003.png", number=77)
    changed = ImageFolder(folder, NAMES, (8, 16)).content_sha256()
    assert changed != first
    (folder / "000003.png").rename(folder / "000004.png")
    renamed = ImageFolder(folder, [*NAMES[:2], "000004"], (8, 16)).content_sha256()
    assert renamed != changed
