# SPDX-License-Identifier: Apache-2.0
"""What of a state dict does not fit a network, all of it in one line.

A leaf: it imports nothing, so every part of the program may use it. Who loads decides what to drop
before, which error to raise, and what to do next.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_SHOWN = 6


def mismatch(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    """Say what is missing, unexpected and of wrong shape, together; empty where all entries fit."""
    missing = [name for name in wanted if name not in given]
    unexpected = [name for name in given if name not in wanted]
    reshaped = [
        f"{name} {tuple(given[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in given and given[name].shape != tensor.shape
    ]
    problems = (("missing", missing), ("unexpected", unexpected), ("of wrong shape", reshaped))
    lines = [f"{len(names)} {kind}: {listed(names)}" for kind, names in problems if names]
    if not lines:
        return ""
    return f"{len(wanted)} tensors expected, {len(given)} found; {'; '.join(lines)}"


def listed(names: Iterable[str]) -> str:
    """Return the first of the names, and how many more there are."""
    names = list(names)
    shown = ", ".join(names[:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
