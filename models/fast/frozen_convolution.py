# SPDX-License-Identifier: Apache-2.0
"""Convolutions whose weights stay as they are: what is made of a kernel is made once and kept."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from spade_eval.models.fast.onednn import HAS_ONEDNN, packed, packed_convolution
from spade_eval.models.fast.winograd import (
    FastConv2d,
    computes_in_float32_on_cpu,
    transformed,
    winograd_convolution,
    winograd_is_faster,
)

# Of inputs, for which a layer keeps packed kernels: the scales of most networks, and a bound where
# every photo has another size.
_MOST_SIZES = 3


class FrozenConv2d(FastConv2d):
    """`nn.Conv2d` with a fixed weight, equal but for the order of additions.

    On CPUs, in float32 and without gradients it takes Winograd's form where that is faster, whose
    kernels take four times the memory of the weight, or oneDNN's, which take that memory once for
    each of the first sizes of images. Both are kept.
    """

    _transformed: Tensor | None = None
    _packed: Mapping[torch.Size, Tensor] = MappingProxyType({})

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if not computes_in_float32_on_cpu(input, weight):
            return super()._conv_forward(input, weight, bias)
        if self._allows_winograd(input, weight) and (
            self.always or winograd_is_faster(input, weight, self.dilation[0])
        ):
            if self._transformed is None:
                self._transformed = transformed(weight)
            return winograd_convolution(
                input, weight, bias, self.padding_mode, self.dilation[0], self._transformed
            )
        if HAS_ONEDNN and self.padding_mode == "zeros" and not isinstance(self.padding, str):
            # Else each layer after an image of another layout would go on in that one.
            channels_last = input.contiguous(memory_format=torch.channels_last)
            return packed_convolution(self, channels_last, self._kernel_for(input.shape))
        return super()._conv_forward(input, weight, bias)

    def _kernel_for(self, size: torch.Size) -> Tensor:
        """Pack the kernel as for any input of that size, whatever came before: bits depend on it.

        What is not kept is packed anew, which costs what torch's own convolution pays each time.
        """
        if size in self._packed:
            return self._packed[size]
        kernel = packed(self, size)
        if len(self._packed) < _MOST_SIZES:
            self._packed = {**self._packed, size: kernel}
        return kernel

    def _apply(self, fn: Callable[[Any], Any], recurse: bool = True) -> "FrozenConv2d":
        """Move or convert the layer; what was made of the weight before is made anew."""
        self._transformed, self._packed = None, {}
        applied: FrozenConv2d = super()._apply(fn, recurse)
        return applied

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is made anew: oneDNN's kernels can be neither copied nor sent."""
        made = ("_transformed", "_packed")
        return {name: value for name, value in self.__dict__.items() if name not in made}
