# SPDX-License-Identifier: Apache-2.0
"""Files that hold weights: written whole or not at all, read without running any code.

Two kinds. A *training state* (`.pt`) holds everything a killed run needs to continue bitwise:
tensors, numbers and strings only. A *network* (`.safetensors`) holds the weights of one network and
a JSON description from which it is rebuilt, in the file's own metadata, so that they cannot part.
"""

import json
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

_DESCRIPTION = "spade_eval"


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write a training state; a kill at any moment leaves the old file or the new one."""
    temporary = path.with_suffix(path.suffix + ".tmp")
    with temporary.open("wb") as file:
        torch.save(dict(state), file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def load_state(path: Path) -> dict[str, Any]:
    """Read a training state; `ValueError` if the file is damaged or holds anything but data."""
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        TypeError,
        ValueError,
        OSError,
    ) as error:
        raise ValueError(
            f"{path} is not a readable training state ({_first_line(error)}); "
            "remove it to train from the beginning"
        ) from error


def save_network(path: Path, weights: Mapping[str, Tensor], description: object) -> None:
    """Write weights and their JSON description as one safetensors file, atomically."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    data = save(tensors, {_DESCRIPTION: json.dumps(description, sort_keys=True)})
    temporary = path.with_suffix(path.suffix + ".tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def has_description(path: Path) -> bool:
    """Whether a file is a network file of this suite; its content decides, not its name."""
    try:
        with safe_open(path, framework="pt") as file:
            return _DESCRIPTION in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def load_description(path: Path) -> dict[str, Any]:
    """The JSON description in a network file; `ValueError` for any other file."""
    try:
        with safe_open(path, framework="pt") as file:
            return dict(json.loads((file.metadata() or {})[_DESCRIPTION]))
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError, OSError) as error:
        raise ValueError(
            f"{path} is not a checkpoint of this suite ({_first_line(error)}); "
            "expected a .safetensors file as `spade-eval train` writes it"
        ) from error


def load_weights(path: Path) -> dict[str, Tensor]:
    """The tensors in a network file, on the CPU."""
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
