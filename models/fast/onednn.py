# SPDX-License-Identifier: Apache-2.0
"""Two operations of oneDNN that torch keeps for its own compiler, and what does the same without.

With wide vectors (AVX-512) oneDNN multiplies up to twice as fast as the library behind torch's
matrix products, and a convolution whose kernel is stored as oneDNN wants it spares turning that
round on every call. Both are on CPUs, in float32, without gradients.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_OPERATIONS: Any = torch.ops.mkldnn
HAS_ONEDNN = torch.backends.mkldnn.is_available() and all(
    hasattr(_OPERATIONS, name)
    for name in ("_linear_pointwise", "_convolution_pointwise", "_reorder_convolution_weight")
)


def product(rows: Tensor, weight: Tensor) -> Tensor:
    """Multiply (T, C) by (out, C), both contiguous, -> (T, out): `F.linear`."""
    if HAS_ONEDNN and rows.dtype == torch.float32:
        multiplied: Tensor = _OPERATIONS._linear_pointwise(rows, weight, None, "none", [], "")
        return multiplied
    return F.linear(rows, weight)


def packed(layer: nn.Conv2d, size: torch.Size) -> Tensor:
    """Store a layer's kernel as oneDNN wants it for inputs of that size (others may be slower)."""
    reordered: Tensor = _OPERATIONS._reorder_convolution_weight(
        layer.weight, layer.padding, layer.stride, layer.dilation, layer.groups, list(size)
    )
    return reordered


def packed_convolution(layer: nn.Conv2d, x: Tensor, kernel: Tensor) -> Tensor:
    """Compute what the layer does, with its kernel `packed`."""
    convolved: Tensor = _OPERATIONS._convolution_pointwise(
        x, kernel, layer.bias, layer.padding, layer.stride, layer.dilation, layer.groups,
        "none", [], "",
    )  # fmt: skip
    return convolved
