# SPDX-License-Identifier: Apache-2.0
"""Reading and writing the .npz files of the metrics: plain arrays, never pickled objects."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from spade_eval.errors import UserError
from spade_eval.files import replaced


def write_arrays(path: Path, **arrays: NDArray[Any]) -> None:
    """Write a compressed .npz in one step: an interrupted run leaves no half file at `path`."""
    with replaced(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read_arrays(path: Path, names: Sequence[str], what: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of a .npz by name; `what` says in errors what the file should have held."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in names}
    except (
        OSError,
        EOFError,
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
        BadZipFile,
    ) as error:
        raise UserError(f"{path} does not hold {what} ({error}); compute them again") from error
