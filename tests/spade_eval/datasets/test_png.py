# SPDX-License-Identifier: Apache-2.0
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from spade_eval.datasets import files, png

IDS = np.random.default_rng(0).integers(0, 200, (16, 16), dtype=np.uint8)


def chunk(name: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)


def file_of(shape: tuple[int, int], rows: bytes, *others: bytes, interlaced: int = 0) -> bytes:
    header = struct.pack(">2I5B", shape[1], shape[0], 8, 0, 0, 0, interlaced)
    parts = [chunk(b"IHDR", header), *others, chunk(b"IDAT", zlib.compress(rows))]
    return png.SIGNATURE + b"".join(parts) + chunk(b"IEND", b"")


def rows_of(ids: np.ndarray) -> bytes:
    return b"".join(b"\0" + row.tobytes() for row in ids)


def refused(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    messages = []
    for read in (files.read_photo, files.read_instance_map):
        with pytest.raises(files.UnreadableImageError) as caught:
            read(path)
        messages.append(str(caught.value))
    assert "\n" not in messages[0]
    assert messages[0] == messages[1]
    return messages[0]


@pytest.mark.parametrize("at", [20, 45, -5, -14])
def test_every_checksum_counts(tmp_path: Path, at: int) -> None:
    content = bytearray(file_of(IDS.shape, rows_of(IDS)))
    content[at] ^= 1  # the width, image data, the checksum of IEND, that of the image data
    assert "the checksum of its chunk" in refused(tmp_path / "a.png", bytes(content))


def test_image_data_that_pillow_would_take_are_refused(tmp_path: Path) -> None:
    content = bytearray(file_of(IDS.shape, rows_of(IDS)))
    content[-13] ^= 1
    (tmp_path / "a.png").write_bytes(content)
    with Image.open(tmp_path / "a.png") as image:  # why checksums are counted here
        image.load()
    refused(tmp_path / "a.png", bytes(content))


@pytest.mark.parametrize("rows", [1, 9, 15])
def test_missing_rows_are_refused(tmp_path: Path, rows: int) -> None:
    content = file_of(IDS.shape, rows_of(IDS)[: rows * 17])
    assert f"after {rows * 17} of 272 bytes" in refused(tmp_path / "a.png", content)
    refused(tmp_path / "b.png", file_of(IDS.shape, rows_of(IDS)[: rows * 17 + 5]))


def test_a_last_row_of_class_0_is_no_missing_row(tmp_path: Path) -> None:
    ids = IDS.copy()
    ids[-1] = 0
    (tmp_path / "a.png").write_bytes(file_of(ids.shape, rows_of(ids)))
    np.testing.assert_array_equal(files.read_ids(tmp_path / "a.png", "class"), ids)


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (16, 16)])
def test_interlaced_files_hold_all_of_their_passes(tmp_path: Path, shape: tuple[int, int]) -> None:
    ids = IDS[: shape[0], : shape[1]]
    starts = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)]
    passes = [ids[y::dy, x::dx] for x, y, dx, dy in [*starts, (0, 1, 1, 2)]]
    rows = b"".join(rows_of(part) for part in passes if part.size)
    (tmp_path / "a.png").write_bytes(file_of(shape, rows, interlaced=1))
    np.testing.assert_array_equal(files.read_ids(tmp_path / "a.png", "class"), ids)
    refused(tmp_path / "b.png", file_of(shape, rows[:-1], interlaced=1))


def test_a_file_without_its_end_is_refused(tmp_path: Path) -> None:
    whole = file_of(IDS.shape, rows_of(IDS))
    assert "IEND" in refused(tmp_path / "a.png", whole[:-12])
    assert "within its chunk IDAT" in refused(tmp_path / "a.png", whole[:-20])


def test_large_texts_and_profiles_do_not_matter(tmp_path: Path) -> None:
    packed = zlib.compress(bytes(4 * PngImagePlugin.MAX_TEXT_CHUNK))
    extras = [
        chunk(b"zTXt", b"history\0\0" + packed),
        chunk(b"iCCP", b"profile\0\0" + packed),
        chunk(b"iTXt", b"damaged"),
    ]
    path = tmp_path / "a.png"
    path.write_bytes(file_of(IDS.shape, rows_of(IDS), *extras))
    np.testing.assert_array_equal(files.read_ids(path, "class"), IDS)
    np.testing.assert_array_equal(files.read_photo(path)[..., 0], IDS)
    assert files.read_size(path) == IDS.shape
