# SPDX-License-Identifier: Apache-2.0
"""Deterministic random weights: a function of each tensor's name and shape.

They stand in for weight files where a chain is tested from end to end, and they are those of the
suite's reference data, so that such a chain can be compared with the published code.
"""

import math
import zlib

import numpy as np
import torch
from torch import Tensor, nn

from spade_eval.segmenters.loading import is_optional


def fill(module: nn.Module, gain: float) -> None:
    """Fill every tensor of the state dict; `gain` keeps activations of deep networks in range."""
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if not is_optional(name):
                tensor.copy_(_weights(name, tuple(tensor.shape), gain))


def _weights(name: str, shape: tuple[int, ...], gain: float) -> Tensor:
    generator = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    drawn = torch.from_numpy(np.asarray(generator.standard_normal(shape), dtype=np.float32))
    leaf = name.rpartition(".")[2]
    if len(shape) >= 2:
        return drawn * np.float32(gain / math.sqrt(math.prod(shape[1:])))
    if leaf == "running_var":
        return 0.5 * drawn.abs() + 0.5
    return 0.1 * drawn if leaf in ("running_mean", "bias") else 1 + 0.1 * drawn
