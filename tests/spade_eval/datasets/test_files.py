# SPDX-License-Identifier: Apache-2.0
import os
import pickle
import re
import shlex
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from spade_eval.cli import main
from spade_eval.datasets import files, png
from spade_eval.datasets.base import LabelSpace
from spade_eval.datasets.coco_stuff import LABEL_FILES
from spade_eval.datasets.label_files import LabelFiles
from spade_eval.datasets.tools import colour_maps
from spade_eval.errors import UserError


def assert_one_line(error: UserError, *parts: object) -> None:
    message = str(error)
    assert "\n" not in message
    for part in parts:
        assert str(part) in message


def chunk(name: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)


def grey_png(
    samples: NDArray[np.integer], bits: int, text: bytes = b"", rows: int | None = None
) -> bytes:
    """Write a PNG by hand, of `rows` of its rows."""
    lines = []
    for row in samples[:rows]:
        packed = "".join(format(sample, f"0{bits}b") for sample in row)
        packed += "0" * (-len(packed) % 8)
        lines.append(b"\0" + int(packed, 2).to_bytes(len(packed) // 8, "big"))
    header = struct.pack(">2I5B", samples.shape[1], samples.shape[0], bits, 0, 0, 0, 0)
    texts = chunk(b"zTXt", b"history\0\0" + zlib.compress(text)) if text else b""
    image = chunk(b"IDAT", zlib.compress(b"".join(lines)))
    return png.SIGNATURE + chunk(b"IHDR", header) + texts + image + chunk(b"IEND", b"")


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "P", "RGBA"])
def test_photo_of_any_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    grey = Image.new("RGB", (5, 4), (90, 90, 90))
    (grey.quantize(4) if mode == "P" else grey.convert(mode)).save(path)
    photo = files.read_photo(path)
    assert photo.shape == (4, 5, 3)
    assert photo.dtype == np.uint8
    # JPEG's quantisation and the conversion from CMYK may each be off by one level.
    assert np.abs(photo.astype(int) - 90).max() <= 2


def test_photo_of_16_bits_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    Image.fromarray(np.full((4, 4), 40000, dtype=np.uint16)).save(path)
    with pytest.raises(files.ImageModeError) as caught:
        files.read_photo(path)
    assert_one_line(caught.value, path, "I;16", "8-bit RGB")


def test_truncated_photo_is_refused(tmp_path: Path) -> None:
    whole, path = tmp_path / "whole.jpg", tmp_path / "cut.jpg"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(whole)
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(files.UnreadableImageError) as caught:
        files.read_photo(path)
    assert_one_line(caught.value, path, "cannot be decoded", "download it again")


@pytest.mark.parametrize("damage", ["cut", "flipped", "text", "empty"])
def test_damaged_label_map_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "label.png"
    ids = np.random.default_rng(0).integers(0, 182, (64, 64), dtype=np.uint8)
    Image.fromarray(ids).save(path)
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 0xFF
    damaged = {"cut": content[: len(content) // 2], "flipped": content, "text": b"no", "empty": b""}
    path.write_bytes(damaged[damage])
    with pytest.raises(files.UnreadableImageError) as caught:
        LABEL_FILES.read(path)
    assert_one_line(caught.value, path)


def test_decoders_of_other_formats_are_never_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(*command: object, **settings: object) -> None:
        raise AssertionError(f"a program was started: {command}")

    monkeypatch.setattr(subprocess, "Popen", started)
    monkeypatch.setattr(subprocess, "check_call", started)
    path = tmp_path / "a.png"
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\nshowpage\n%%EOF\n"
    for content in (eps, b"BLP2" + bytes(200), b"P5 2 2 255\n" + bytes(4)):
        path.write_bytes(content)
        for read in (files.read_photo, files.read_size, files.read_instance_map):
            with pytest.raises(files.UnreadableImageError) as caught:
                read(path)
            assert_one_line(caught.value, path, "cannot be decoded as PNG")


def test_what_is_no_regular_file_is_refused_unopened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")  # opening it would wait for a writer
    (tmp_path / "folder.png").mkdir()
    for name, kind in {"pipe.png": "a pipe", "folder.png": "a folder"}.items():
        for read in (files.read_photo, files.read_size, files.read_instance_map):
            with pytest.raises(files.UnreadableImageError) as caught:
                read(tmp_path / name)
            assert_one_line(caught.value, tmp_path / name, kind, "an image file was expected")


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(files.UnreadableImageError) as caught:
        LABEL_FILES.read(tmp_path / "none.png")
    assert_one_line(caught.value, "none.png", "no such file")


def test_decompression_bomb_is_a_user_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.png"
    Image.new("L", (60, 60)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # the guard raises beyond twice this
    for read in (files.read_photo, files.read_size, files.read_instance_map):
        with pytest.raises(files.UnreadableImageError) as caught:
            read(path)
        assert_one_line(caught.value, path, "2000 pixels")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_label_map_of_any_depth_keeps_ids(tmp_path: Path, dtype: type) -> None:
    ids = np.array([[0, 181, 255], [90, 91, 7]], dtype=dtype)
    path = tmp_path / "label.png"
    Image.fromarray(ids).save(path)
    found = LABEL_FILES.read(path)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, ids)


@pytest.mark.parametrize("format", ["JPEG", "TIFF", "BMP", "GIF", "WEBP"])
def test_another_container_named_png_is_no_label_map(tmp_path: Path, format: str) -> None:
    path = tmp_path / "label.png"
    Image.fromarray(np.full((8, 8), 3, dtype=np.uint8)).save(path, format=format)
    for read in (LABEL_FILES.read, files.read_instance_map):
        with pytest.raises(files.ContainerError) as caught:
            read(path)
        assert_one_line(caught.value, path, f"{format} content was found", "PNG was expected")


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("filler", [b"", b"a text of no importance"])
def test_grey_samples_of_any_depth_are_read_unscaled(
    tmp_path: Path, bits: int, filler: bytes
) -> None:
    ids = np.arange(5 * 7).reshape(5, 7) % min(2**bits, 180)
    path = tmp_path / "label.png"
    path.write_bytes(grey_png(ids, bits, filler))
    for read in (LABEL_FILES.read, files.read_instance_map):
        np.testing.assert_array_equal(read(path), ids)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB"])
def test_transparent_photos_are_refused(tmp_path: Path, mode: str) -> None:
    path, keyed = tmp_path / "a.png", {"P": 0, "RGB": (9, 9, 9)}  # transparent by tRNS
    if mode in keyed:
        Image.new("RGB", (3, 2), (9, 9, 9)).convert(mode).save(path)
        assert files.read_photo(path).shape == (2, 3, 3)
        image = Image.open(path)
        colour = image.getpixel((0, 0)) if mode == "P" else keyed[mode]
        image.save(path, transparency=colour)
    else:
        image = Image.new(mode, (3, 2), (90, 255) if mode == "LA" else (90, 90, 90, 255))
        image.save(path)
        assert (files.read_photo(path) == 90).all()
        image.putpixel((1, 1), (90, 254) if mode == "LA" else (90, 90, 90, 254))
        image.save(path)
    with pytest.raises(files.ImageModeError) as caught:
        files.read_photo(path)
    assert_one_line(caught.value, path, "transparent pixels (alpha down to", "8-bit RGB")


def test_photo_of_4_bits_is_as_bright_as_it_looks(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(grey_png(np.array([[0, 8, 15]]), 4))
    assert files.read_photo(tmp_path / "a.png")[0, :, 0].tolist() == [0, 136, 255]


@pytest.mark.parametrize(("dtype", "wrong"), [(np.uint8, (182, 200)), (np.uint16, (256, 60000))])
def test_label_ids_outside_the_range_are_named(
    tmp_path: Path, dtype: type, wrong: tuple[int, int]
) -> None:
    ids = np.array([[0, wrong[1]], [wrong[0], 255]], dtype=dtype)
    path = tmp_path / "label.png"
    Image.fromarray(ids).save(path)
    with pytest.raises(files.LabelValueError) as caught:
        LABEL_FILES.read(path)
    assert caught.value.values == wrong
    assert_one_line(caught.value, path, f"{wrong[0]}, {wrong[1]}", "0..181", "255")


@pytest.mark.parametrize("mode", ["P", "RGB", "RGBA", "LA"])
def test_colour_label_map_is_refused(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "label.png"
    image = Image.new("RGB", (4, 4), (128, 0, 0))
    image.quantize(4).save(path) if mode == "P" else image.convert(mode).save(path)
    with pytest.raises(files.ImageModeError) as caught:
        LABEL_FILES.read(path)
    assert_one_line(caught.value, path, f"mode {mode}", "single-channel PNG of class ids")
    with pytest.raises(files.ImageModeError, match="instance ids"):
        files.read_instance_map(path)


def palette_file(path: Path, indices: list[int], colours: dict[int, tuple[int, int, int]]) -> Path:
    image = Image.frombytes("P", (len(indices), 1), bytes(indices))
    image.putpalette([part for k in range(256) for part in colours.get(k, (9, 9, 8))])
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return path


def test_palette_files_are_read_where_index_and_colour_agree(tmp_path: Path) -> None:
    red, green, white = (200, 0, 0), (0, 200, 0), (224, 224, 192)
    space = LabelSpace(class_names=("a", "b"), palette=(red, green), has_unlabelled=True)
    described = LabelFiles(space=space, values=(3, 7), unlabelled=(255,))
    sound = palette_file(tmp_path / "a.png", [3, 7, 255], {3: red, 7: green, 255: white})
    assert described.read(sound).tolist() == [[0, 1, 255]]
    for name, colours in {
        "swapped": {3: green, 7: red, 255: white},
        "other shade": {3: red, 7: (0, 201, 0), 255: white},
        "unlabelled in a class's colour": {3: red, 7: green, 255: red},
    }.items():
        with pytest.raises(files.ImageModeError):
            described.read(palette_file(tmp_path / name / "b.png", [3, 7, 255], colours))
    with pytest.raises(files.ImageModeError):  # an index that is no id
        described.read(palette_file(tmp_path / "b.png", [3, 4], {3: red, 4: green}))


def test_the_command_that_converts_is_printed_and_works(tmp_path: Path) -> None:
    source = tmp_path / "own labels" / "val"
    palette_file(source / "a.png", [0, 1, 1, 0], {0: (1, 2, 3), 1: (4, 5, 6)})
    with pytest.raises(files.ImageModeError) as caught:
        files.read_ids(source / "a.png", "class")
    command, *_ = re.findall("`spade-eval ([^`]* --palette index)`", str(caught.value))
    with pytest.raises(SystemExit, match="0"):
        main(shlex.split(command))
    ids = files.read_ids(tmp_path / "ids" / "val" / "a.png", "class")
    assert ids.tolist() == [[0, 1, 1, 0]]


def test_a_file_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(files.UnreadableImageError, match=r"a\.png: cannot be read \(Permission"):
        files.read_ids(tmp_path / "a.png", "class")


def test_palette_that_is_a_grey_ramp_holds_ids(tmp_path: Path) -> None:
    ids = np.array([[0, 181], [255, 3]], dtype=np.uint8)
    image = Image.fromarray(ids)
    palette_image = Image.frombytes("P", image.size, image.tobytes())
    palette_image.putpalette([grey for grey in range(256) for _ in range(3)])
    palette_image.save(tmp_path / "label.png")
    with Image.open(tmp_path / "label.png") as stored:
        assert stored.mode == "P"
    np.testing.assert_array_equal(LABEL_FILES.read(tmp_path / "label.png"), ids)


def test_greys_that_are_not_their_indices_are_refused(tmp_path: Path) -> None:
    image = Image.frombytes("P", (3, 1), bytes([0, 2, 1]))
    image.putpalette([grey for grey in (0, 5, 9) for _ in range(3)])
    image.save(tmp_path / "label.png")
    for read in (LABEL_FILES.read, files.read_instance_map, colour_maps.read_indices):
        with pytest.raises(files.ImageModeError) as caught:
            read(tmp_path / "label.png")
        assert_one_line(caught.value, "label.png", "index 1 is grey 5, 2 is grey 9", "grey PNG")


def test_instance_ids_of_16_bits_do_not_wrap(tmp_path: Path) -> None:
    ids = np.array([[0, 32767, 32768], [40000, 65535, 26001]], dtype=np.uint16)
    Image.fromarray(ids).save(tmp_path / "inst.png")
    found = files.read_instance_map(tmp_path / "inst.png")
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, ids.astype(np.int64))


def test_file_errors_survive_pickling(tmp_path: Path) -> None:
    path = tmp_path / "label.png"
    Image.fromarray(np.full((2, 2), 200, dtype=np.uint8)).save(path)
    with pytest.raises(files.LabelValueError) as caught:
        LABEL_FILES.read(path)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.path, copy.values) == (str(caught.value), path, (200,))
    assert str(type(copy)("as a DataLoader does")) == "as a DataLoader does"


def test_files_by_stem_filters_and_sorts(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "c.txt", ".d.png", "e.JPEG"):
        (tmp_path / name).touch()
    assert list(files.files_by_stem(tmp_path, files.PHOTO_EXTENSIONS)) == ["a", "b", "e"]
    assert list(files.files_by_stem(tmp_path, files.MAP_EXTENSIONS)) == ["b"]


def test_two_files_of_one_stem_are_refused(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg"):
        (tmp_path / name).touch()
    with pytest.raises(UserError) as caught:
        files.files_by_stem(tmp_path, files.PHOTO_EXTENSIONS)
    assert_one_line(caught.value, "a.jpg", "a.png", "one stem")
