# SPDX-License-Identifier: Apache-2.0
"""Files that hold weights: written whole or not at all, read without running any code.

Two kinds. A *training state* (`.pt`) holds everything a killed run needs to continue bitwise:
tensors, numbers and strings only. A *network* (`.safetensors`) holds the weights of one network and
a JSON description from which it is rebuilt, in the file's own metadata, so that they cannot part.
"""

import json
import math
import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from spade_eval.files import lfs_pointer, replaced
from spade_eval.json_fields import parsed_json
from spade_eval.models.checkpoints.safe_load import load_plain, require_safetensors

_DESCRIPTION = "spade_eval"


def previous_state(path: Path) -> Path:
    """Return the path at which the state before the one in `path` is kept."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write a training state and keep the one before; a kill at any moment leaves a whole one.

    A full disk is an `OSError` with the file's name and leaves both old files as they were.
    """
    with _on_disk(path, keep=previous_state(path)) as file:
        torch.save(dict(state), file)


def load_state(path: Path) -> dict[str, Any]:
    """Read a training state; `ValueError` if the file is damaged or holds anything but data."""
    try:
        state = load_plain(path)
        _require_finite(state)
        return state
    except ValueError as error:
        raise ValueError(
            f"{path} is not a readable training state ({error}); "
            "remove it to train from the beginning"
        ) from error


def save_network(path: Path, weights: Mapping[str, Tensor], description: object) -> None:
    """Write weights and their JSON description as one safetensors file, atomically."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    with _on_disk(path) as file:
        file.write(save(tensors, {_DESCRIPTION: json.dumps(description, sort_keys=True)}))


def save_state_dict(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write weights alone, by name, as published code saves them, atomically."""
    state = OrderedDict(
        (name, tensor.detach().cpu().contiguous()) for name, tensor in weights.items()
    )
    with _on_disk(path) as file:
        torch.save(state, file)


def has_description(path: Path) -> bool:
    """Return whether a file is a network file of this suite, by its content, not its name."""
    try:
        require_safetensors(path)
        with safe_open(path, framework="pt") as file:
            return _DESCRIPTION in (file.metadata() or {})
    except (SafetensorError, OSError, ValueError):
        return False


def load_description(path: Path) -> dict[str, Any]:
    """Read the JSON description of a network file; `ValueError` for any other file."""
    try:
        with safe_open(path, framework="pt") as file:
            return dict(parsed_json((file.metadata() or {})[_DESCRIPTION]))
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        reason = lfs_pointer(path) or _first_line(error)
        raise ValueError(
            f"{path} is not a checkpoint of this suite ({reason}); "
            "expected a .safetensors file as `spade-eval train` writes it"
        ) from error


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a network file onto the CPU."""
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


class _Watched:
    """A file that remembers why writing failed: torch.save reports a full disk as its own fault."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.failure: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            return self.file.write(data)
        except OSError as error:
            self.failure = error
            raise

    def flush(self) -> None:
        self.file.flush()


@contextmanager
def _on_disk(path: Path, keep: Path | None = None) -> Iterator[Any]:
    """Open a file that replaces `path` once it is on the disk; `keep` is for the old one."""
    with replaced(path, keep) as temporary, temporary.open("wb") as raw:
        watched = _Watched(raw)
        try:
            yield watched
        except RuntimeError as error:
            if watched.failure is None:
                raise
            raise watched.failure from error
        raw.flush()
        os.fsync(raw.fileno())


def _require_finite(node: object, name: str = "") -> None:
    """Refuse NaN and infinity by name: no training ends well that continues with them."""
    if isinstance(node, Tensor):
        finite = bool(node.isfinite().all())
    elif isinstance(node, Mapping | list | tuple):
        inner = node.items() if isinstance(node, Mapping) else enumerate(node)
        for key, part in inner:
            _require_finite(part, f"{name}.{key}" if name else str(key))
        return
    else:
        finite = not isinstance(node, float) or math.isfinite(node)
    if not finite:
        raise ValueError(f"{name} in it holds NaN or infinity")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
