# SPDX-License-Identifier: Apache-2.0
"""Checkpoint files of any origin, opened without running anything that they hold.

A `.pth` file is a pickle, which can name any function of any installed package and have it called.
All such files of the program are opened here, of which there are two views:

- `load_tensors` gives the tensors of any published file and leaves out whatever else it holds;
- `load_plain` gives all of a file that holds tensors, numbers and strings only, as the training
  states of this suite do, and refuses every other.

What a file is, its first bytes say:

- `.safetensors` files hold no code;
- zip files (PyTorch 1.6 and later) go through `torch.load(weights_only=True)`;
- zip files that it refuses and files of the older form go through `restricted_pickle`, which says
  why, and so only their tensors can be had.

TorchScript archives hold code and are refused.
"""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from spade_eval.files import lfs_pointer
from spade_eval.models.checkpoints.restricted_pickle import collect, read_legacy, read_zip

_ZIP_MAGIC = b"PK\x03\x04"
_PLAIN = (Tensor, str, int, float, type(None))  # bool is an int


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
            return _zip_tensors(path)
        if head[8:] == b"{":  # after the 64-bit length of the header
            return dict(load_file(path, device="cpu"))
        if head.startswith(b"\x80"):
            return read_legacy(file, path.stat().st_size)
    raise ValueError(lfs_pointer(path) or "neither a zip file nor a pickle nor safetensors")


def _zip_tensors(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        root = _root(archive)
        try:
            content = _zip_content(path)
        except Exception:  # objects of foreign classes, or damage, which shows again below
            return read_zip(archive, root)
    return collect(content, lambda node: node.detach() if isinstance(node, Tensor) else None)


def _plain(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        if file.read(len(_ZIP_MAGIC)) != _ZIP_MAGIC:
            raise ValueError(lfs_pointer(path) or "not a zip file of torch.save")
    with zipfile.ZipFile(path) as archive:
        _root(archive)
    try:
        content = _zip_content(path)
    except Exception as error:  # torch would advise to open it unsafely
        raise ValueError("it is damaged or holds more than tensors and plain data") from error
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}, not a dictionary")
    _require_plain(content)
    return dict(content)


def _root(archive: zipfile.ZipFile) -> str:
    """Return the folder of the archive below which `torch.save` has put everything."""
    names = archive.namelist()
    pickles = [name for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
    if any(name.endswith("/constants.pkl") for name in names):
        raise ValueError("it is a TorchScript archive, which holds code")
    if len(pickles) != 1:
        raise ValueError("a zip file, but not of torch.save")
    return pickles[0].removesuffix("data.pkl")


def _zip_content(path: Path) -> object:
    return torch.load(path, map_location="cpu", weights_only=True)


def _require_plain(node: object) -> None:
    """`ValueError` for what `torch.load` lets pass beyond plain data: sets, devices and others."""
    if isinstance(node, dict):
        _require_plain([*node.keys(), *node.values()])
    elif isinstance(node, list | tuple):
        for item in node:
            _require_plain(item)
    elif not isinstance(node, _PLAIN):
        raise ValueError(f"it holds a {type(node).__name__}, not only tensors and plain data")
