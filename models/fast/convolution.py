# SPDX-License-Identifier: Apache-2.0
"""Torch's convolution, which takes Winograd's form where that is faster and no gradient is wanted.

On GPUs cuDNN chooses its algorithms by itself.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from spade_eval.models.fast.winograd import TILE, winograd_convolution

Form = Literal["chosen", "dense", "fast"]
"""How a layer computes what its equations say: as a rule says, as they are written, or the fast way
wherever it can."""

# In multiplications of the direct form, measured, see docs/speed.md. Like all rules that choose a
# form this one reads the batch, never a clock: a repeated run takes the same form.
_PIXEL_COST = 300  # transforming a value of the input or the output
_WEIGHT_COST = 2000  # transforming a kernel
_MOST_COST = 0.9  # of the direct form's
_PRODUCTS = 36 / TILE**2  # multiplications a pixel and pair of channels, 9 in the direct form


class Conv2d(nn.Conv2d):
    """`nn.Conv2d`, equal but for the order of additions."""

    form: Form = "chosen"

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self._allows_winograd(input, weight) and (
            self.form == "fast" or winograd_is_faster(input, weight)
        ):
            return winograd_convolution(input, weight, bias, self.padding_mode)
        return super()._conv_forward(input, weight, bias)

    def _allows_winograd(self, x: Tensor, weight: Tensor) -> bool:
        return (
            self.form != "dense"
            and not torch.is_grad_enabled()
            and not torch.compiler.is_compiling()
            and not torch.is_autocast_enabled("cpu")
            and x.device.type == "cpu"
            and x.dtype == weight.dtype == torch.float32
            and self.kernel_size == (3, 3)
            and self.stride == self.dilation == self.padding == (1, 1)
            and self.groups == 1
            and self.padding_mode in ("zeros", "reflect")
            and x.shape[-2] % TILE == x.shape[-1] % TILE == 0
        )


def winograd_is_faster(x: Tensor, weight: Tensor) -> bool:
    """x (N, C, H, W), weight (out, C, 3, 3); a function of the shapes alone."""
    pixels, pairs = x[:, 0].numel(), weight[:, :, 0, 0].numel()
    cost = pixels * (_PRODUCTS * pairs + _PIXEL_COST * sum(weight.shape[:2])) + _WEIGHT_COST * pairs
    return cost <= _MOST_COST * pixels * 9 * pairs
