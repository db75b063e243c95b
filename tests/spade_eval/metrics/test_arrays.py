# SPDX-License-Identifier: Apache-2.0
"""Arrays of strangers: no memory is taken for what a header or an entry merely claims."""

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from spade_eval.errors import UserError
from spade_eval.metrics.arrays import read_arrays, write_arrays


def npy(shape: tuple[int, ...], data: bytes, dtype: str = "<f8") -> bytes:
    """An .npy file whose header says this shape, whatever follows."""
    np.lib.format.write_array_header_1_0(
        file := io.BytesIO(), {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    return file.getvalue() + data


def write(path: Path, member: bytes, packed: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", packed) as archive:
        archive.writestr("x.npy", member)
    return path


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_arrays_come_back(tmp_path: Path, version: tuple[int, int]) -> None:
    arrays = {"x": np.arange(6.0).reshape(2, 3).T, "empty": np.zeros((0, 3)), "one": np.array(7)}
    write_arrays(tmp_path / "a.npz", **arrays)
    found = read_arrays(tmp_path / "a.npz", list(arrays), "arrays")
    assert all(np.array_equal(found[name], array) for name, array in arrays.items())
    np.lib.format.write_array(file := io.BytesIO(), arrays["x"], version)
    write(tmp_path / "b.npz", file.getvalue())
    assert np.array_equal(read_arrays(tmp_path / "b.npz", ["x"], "arrays")["x"], arrays["x"])


@pytest.mark.parametrize(
    ("member", "said"),
    [
        (npy((1 << 37,), bytes(16)), "states 1,099,511,627,776 bytes, 16 are stored"),
        (npy((1 << 37, 1 << 40), bytes(16)), "bytes, 16 are stored"),
        (npy((-2,), bytes(16)), "states -16 bytes, 16 are stored"),
        (npy((1,), bytes(16)), "states 8 bytes, 16 are stored"),
        (npy((), bytes(16), f"|V{1 << 31 - 1}"), "bytes, 16 are stored"),
        (npy((2,), bytes(16), "|O"), "16 bytes, 16 are stored"),
        (npy((2,), bytes(16)).replace(b"False", b"(" * 5), "does not hold arrays"),
        (b"\x93NUMPY\x09\x00" + bytes(16), "does not hold arrays"),
        (npy((10_000_000,), bytes(80_000_000)), "unpack to 80,000,128, expected at most"),
    ],
)
def test_headers_that_lie_are_refused_in_one_line(tmp_path: Path, member: bytes, said: str) -> None:
    path = write(tmp_path / "a.npz", member)
    with pytest.raises(UserError, match=rf"^[^\n]*{said}[^\n]*compute them again$"):
        read_arrays(path, ["x"], "arrays")


@pytest.mark.parametrize("lie", [128 + 8, 128 + 24, 1 << 24])
def test_an_entry_that_lies_is_refused(tmp_path: Path, lie: int) -> None:
    path = write(tmp_path / "a.npz", npy((2,), bytes(16)))
    data = path.read_bytes().replace(struct.pack("<I", 128 + 16), struct.pack("<I", lie))
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"are stored\)|CRC"):
        read_arrays(path, ["x"], "arrays")


@pytest.mark.parametrize("packed", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_rare_ways_of_packing_are_refused(tmp_path: Path, packed: int) -> None:
    path = write(tmp_path / "a.npz", npy((2,), bytes(16)), packed)
    with pytest.raises(UserError, match=f"is packed by method {packed}"):
        read_arrays(path, ["x"], "arrays")
