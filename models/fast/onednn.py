# SPDX-License-Identifier: Apache-2.0
"""What oneDNN computes faster on CPUs than what torch would take by itself.

Two of its operations torch keeps for its own compiler: with wide vectors (AVX-512) oneDNN
multiplies up to twice as fast as the library behind torch's matrix products, and a convolution
whose kernel is stored as oneDNN wants it spares turning that round on every call. Both are in
float32, without gradients, and what does the same without stands beside them. The third is a
case that torch leaves to a slower product.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_ANY_DILATION = 2
_OPERATIONS: Any = torch.ops.mkldnn
HAS_ONEDNN = torch.backends.mkldnn.is_available() and all(
    hasattr(_OPERATIONS, name)
    for name in ("_linear_pointwise", "_convolution_pointwise", "_reorder_convolution_weight")
)


def product(rows: Tensor, weight: Tensor) -> Tensor:
    """Multiply (T, C) by (out, C), either may be a view, -> (T, out): `F.linear`, no gradient."""
    if (
        HAS_ONEDNN
        and rows.device.type == "cpu"
        and rows.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
    ):
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


class DirectConv2d(nn.Conv2d):
    """`nn.Conv2d` as oneDNN computes it, 1x1 kernels with one thread as well.

    To these, and batches below 16, torch gives a matrix product that takes about twice the time and
    turns the layout round, unless they are dilated: which a single tap can be without a change.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.kernel_size == (1, 1) and self.padding == (0, 0) and input.device.type == "cpu":
            return F.conv2d(input, weight, bias, self.stride, 0, _ANY_DILATION, self.groups)
        return super()._conv_forward(input, weight, bias)
