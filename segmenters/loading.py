# SPDX-License-Identifier: Apache-2.0
"""Strict loading of published weights, once their file has been opened as plain tensors.

The published scripts load loosely, which also hides a wrong file. Here the few buffers that only
training reads are dropped by name, and then every name and shape has to fit.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from spade_eval.models.mismatch import listed, mismatch

Renaming = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]

# Step counters, and the leftovers of the synchronised norm of UperNet's authors. Evaluation never
# reads them, and files of one network may hold or lack them.
OPTIONAL = ("num_batches_tracked", "_tmp_running_mean", "_tmp_running_var", "_running_iter")
# Keys under which training scripts put the weights among other things.
_WRAPPERS = ("state_dict", "model")
# What data parallelism and compilation put before every name, in any order.
_PREFIXES = ("module.", "_orig_mod.")


def load_strict(
    module: nn.Module, checkpoint: Mapping[str, Any], renamed: Renaming | None = None
) -> None:
    """Give the module the tensors of a checkpoint, also to one built on the meta device.

    `checkpoint` is a state dict, or a dictionary with one under `state_dict` or `model`; names may
    begin with `module.` and `_orig_mod.`. One `ValueError` names all that is missing, unexpected or
    wrong in shape.
    """
    tensors: Mapping[str, Tensor] = state_dict_in(checkpoint)
    tensors = {n: t for n, t in (renamed or dict)(tensors).items() if not is_optional(n)}
    current = module.state_dict()
    wanted = {name: tensor for name, tensor in current.items() if not is_optional(name)}
    if problem := mismatch(tensors, wanted):
        raise ValueError(
            f"the weights do not fit the network ({problem}); "
            "check that the file belongs to this segmenter"
        )
    state = {
        name: tensors[name].to(tensor.dtype)
        if name in wanted
        else torch.zeros(tensor.shape, dtype=tensor.dtype)
        for name, tensor in current.items()
    }
    module.load_state_dict(state, assign=True)


def state_dict_in(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the flat state dict of a checkpoint, without wrappers and their prefixes."""
    inner: Mapping[str, Any] = checkpoint
    for key in _WRAPPERS:
        if isinstance(inner.get(key), Mapping):
            inner = inner[key]
    others = [str(name) for name, value in inner.items() if not isinstance(value, Tensor)]
    if others or not inner:
        raise ValueError(
            f"not a state dict: {listed(others) or 'no entries'} instead of tensors; "
            "give the weight file of one network"
        )
    tensors = dict(inner)
    while prefix := next((p for p in _PREFIXES if all(n.startswith(p) for n in tensors)), None):
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def is_optional(name: str) -> bool:
    """Return whether an entry has no effect in evaluation."""
    return name.rpartition(".")[2] in OPTIONAL
