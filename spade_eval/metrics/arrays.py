# SPDX-License-Identifier: Apache-2.0
"""Reading and writing the .npz files of the metrics: plain arrays, never pickled objects."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from tokenize import TokenError
from typing import Any
from zipfile import BadZipFile, ZipFile
from zlib import error as ZlibError

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from spade_eval.errors import UserError
from spade_eval.files import lfs_pointer, replaced
from spade_eval.models.zip_members import require_bounded


def write_arrays(path: Path, **arrays: NDArray[Any]) -> None:
    """Write a compressed .npz in one step: an interrupted run leaves no half file at `path`."""
    with replaced(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read_arrays(
    path: Path, names: Sequence[str], what: str, optional: Sequence[str] = ()
) -> dict[str, NDArray[Any]]:
    """Return the arrays of a .npz by name; `what` says in errors what the file should have held.

    With `optional` ones, given where they are there, a file with any other is refused: it may be
    one of them under a damaged name. No memory is taken for an array before its header, its entry
    and the size of the file agree.
    """
    try:
        with ZipFile(path) as archive:
            require_bounded(archive)
            stored = {name.removesuffix(".npy") for name in archive.namelist()}
            known = (*names, *(name for name in optional if name in stored))
            if optional and (foreign := stored.difference(known)):
                raise KeyError(f"unknown array {min(foreign)!r:.80}")
            return {name: _read(archive, f"{name}.npy") for name in known}
    except (
        OSError,
        EOFError,
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
        MemoryError,
        NotImplementedError,  # of a damaged entry that seems to be packed in another way
        OverflowError,
        RuntimeError,  # of one that seems to be encrypted
        SyntaxError,  # of a header, as the next
        TokenError,
        BadZipFile,
        ZlibError,
    ) as error:
        reason = lfs_pointer(path) or (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path} does not hold {what} ({reason}); compute them again") from error


def _read(archive: ZipFile, name: str) -> NDArray[Any]:
    entry = archive.getinfo(name)
    with archive.open(entry) as file:
        version = npy.read_magic(file)
        reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = reader(file)
        stated = dtype.itemsize * int(np.prod([1, *shape], dtype=object))
        stored = entry.file_size - file.tell()
    if dtype.hasobject or stated != stored:
        raise ValueError(f"the header of {name} states {stated:,} bytes, {stored:,} are stored")
    with archive.open(entry) as file:
        array: NDArray[Any] = np.load(file, allow_pickle=False)
        return array


def write_cache(path: Path, made_by: str, **arrays: NDArray[Any]) -> None:
    """Write arrays that state the hash of what made them and the hash of what they hold."""
    write_arrays(path, **arrays, stated=np.array([made_by, _sha256_of(arrays)]))


def read_cache(path: Path, made_by: str, names: Sequence[str]) -> dict[str, NDArray[Any]] | None:
    """Return arrays as `write_cache` wrote them for this `made_by`; None if anything is not so."""
    if not path.is_file():
        return None
    try:
        arrays = read_arrays(path, (*names, "stated"), "a cache")
    except UserError:
        return None
    stated = arrays.pop("stated")
    return arrays if stated.tolist() == [made_by, _sha256_of(arrays)] else None


def _sha256_of(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Hash names, shapes, kinds and values."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode() + array.tobytes())
    return digest.hexdigest()


def read_features(path: Path) -> NDArray[Any]:
    """Return the finite (N, D) features that a run or stored statistics keep."""
    features = read_arrays(path, ("features",), "features")["features"]
    require_array(features, (None, None), "f", path, "features")
    return features


def require_array(
    array: NDArray[Any], shape: Sequence[int | None], kinds: str, path: Path, name: str
) -> None:
    """Refuse another shape (None is any length), another kind of numbers, NaN and infinity."""
    fits = len(shape) == array.ndim and all(
        expected in (None, length) for expected, length in zip(shape, array.shape, strict=True)
    )
    plain = array.dtype.kind in kinds and array.dtype.isnative and array.dtype.itemsize <= 8
    if not (fits and plain):
        expected = ", ".join("any" if length is None else str(length) for length in shape)
        raise UserError(
            f"{path}: {name} is {array.dtype} of shape {array.shape}, expected numbers of shape "
            f"({expected}); compute them again"
        )
    if not np.isfinite(array).all():
        raise UserError(f"{path}: {name} holds NaN or infinity; compute them again")
