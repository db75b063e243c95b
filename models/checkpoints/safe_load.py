# SPDX-License-Identifier: Apache-2.0
"""Checkpoint files of any origin, opened without running anything that they hold.

A `.pth` file is a pickle, which can name any function of any installed package and have it called.
All such files of the program are opened here, of which there are two views:

- `load_tensors` gives the tensors of any published file and leaves out whatever else it holds;
- `load_plain` gives all of a file that holds tensors, numbers and strings only, as the training
  states of this suite do, and refuses every other.

What a file is, its first bytes say:

- `.safetensors` files hold no code;
- zip files (PyTorch 1.6 and later) and files of the older form go through `restricted_pickle` and
  not through `torch.load`; it says why.

TorchScript archives hold code and are refused.
"""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from spade_eval.files import lfs_pointer
from spade_eval.models.checkpoints.stored_tensors import (
    Making,
    plain_data,
    read_legacy,
    read_zip,
    tensors_in,
)
from spade_eval.models.limits import MOST_HEADER_BYTES

_ZIP_MAGIC = b"PK\x03\x04"


def load_tensors(path: Path | str) -> dict[str, Any]:
    """Read all tensors of a checkpoint file onto the CPU, under the names they have in it.

    Nested dictionaries (`{"state_dict": {...}}`) stay nested; whatever else the file holds is left
    out. A file that is missing, damaged, of another kind or without tensors is a `ValueError` of
    one line.
    """
    try:
        tensors = _read(Path(path), _tensors)
    except ValueError as error:
        raise ValueError(
            f"{path} cannot be read as a checkpoint ({error}); expected .safetensors or "
            "what torch.save writes for a state dict"
        ) from error
    if not tensors:
        raise ValueError(
            f"{path} holds no dictionary of tensors; expected a state dict, not a whole module"
        )
    return tensors


def load_plain(path: Path | str) -> dict[str, Any]:
    """Read a dictionary of tensors, numbers, strings, lists, tuples and dictionaries onto the CPU.

    `ValueError` with the reason in one line where the file is not what `torch.save` writes of
    these; what the file should have been, the caller adds.
    """
    return _read(Path(path), _plain)


def _read(path: Path, view: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    try:
        return view(path)
    except Exception as error:  # a damaged or hostile file can make the readers raise anything
        reason = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise ValueError(reason) from error


def _tensors(path: Path) -> dict[str, Any]:
    """Read the tensors in the file, whose first bytes tell its kind; its name says nothing."""
    with path.open("rb") as file:
        head = file.read(9)
        file.seek(0)
        if head.startswith(_ZIP_MAGIC):
            return tensors_in(*_zip(path))
        if head[8:] == b"{":  # after the 64-bit length of the header
            require_safetensors(path)
            return dict(load_file(path, device="cpu"))
        if head.startswith(b"\x80"):
            return tensors_in(*read_legacy(file, path.stat().st_size))
    raise ValueError(lfs_pointer(path) or "neither a zip file nor a pickle nor safetensors")


def _plain(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        if file.read(len(_ZIP_MAGIC)) != _ZIP_MAGIC:
            raise ValueError(lfs_pointer(path) or "not a zip file of torch.save")
    content = plain_data(*_zip(path))
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}, not a dictionary")
    return dict(content)


def require_safetensors(path: Path) -> None:
    """Refuse a header that is larger than any network's; the reader takes up to 100 MB."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
    if size > MOST_HEADER_BYTES:
        raise ValueError(f"its header has {size:,} bytes, expected at most {MOST_HEADER_BYTES:,}")


def _zip(path: Path) -> tuple[object, Making]:
    with zipfile.ZipFile(path) as archive:
        return read_zip(archive, _root(archive))


def _root(archive: zipfile.ZipFile) -> str:
    """Return the folder of the archive below which `torch.save` has put everything."""
    names = archive.namelist()
    pickles = [name for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
    if any(name.endswith("/constants.pkl") for name in names):
        raise ValueError("it is a TorchScript archive, which holds code")
    if len(pickles) != 1:
        raise ValueError("a zip file, but not of torch.save")
    return pickles[0].removesuffix("data.pkl")
