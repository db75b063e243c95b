# SPDX-License-Identifier: Apache-2.0
"""Reading and writing the .npz files of the metrics: plain arrays, never pickled objects."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile
from zlib import error as ZlibError

import numpy as np
from numpy.typing import NDArray

from spade_eval.errors import UserError
from spade_eval.files import lfs_pointer, replaced


def write_arrays(path: Path, **arrays: NDArray[Any]) -> None:
    """Write a compressed .npz in one step: an interrupted run leaves no half file at `path`."""
    with replaced(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read_arrays(
    path: Path, names: Sequence[str], what: str, optional: Sequence[str] = ()
) -> dict[str, NDArray[Any]]:
    """Return the arrays of a .npz by name; `what` says in errors what the file should have held.

    With `optional` ones, given where they are there, a file with any other is refused: it may be
    one of them under a damaged name.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            known = (*names, *(name for name in optional if name in stored.files))
            if optional and (foreign := set(stored.files).difference(known)):
                raise KeyError(f"unknown array {min(foreign)!r:.80}")
            return {name: stored[name] for name in known}
    except (
        OSError,
        EOFError,
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
        MemoryError,  # of a header that declares more than there is
        NotImplementedError,  # of a damaged entry that seems to be packed in another way
        OverflowError,
        RuntimeError,  # of one that seems to be encrypted
        SyntaxError,  # of a header
        BadZipFile,
        ZlibError,
    ) as error:
        reason = lfs_pointer(path) or (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path} does not hold {what} ({reason}); compute them again") from error


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
