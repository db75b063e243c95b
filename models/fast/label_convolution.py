# SPDX-License-Identifier: Apache-2.0
"""Convolutions of label maps by look-up: exact, and without the one-hot map.

A convolution of a one-hot map adds, for each of its taps, the row of a table: the weights of the
label that the tap meets. `stacked_convolutions` goes on with a second convolution: its product with
all taps is made once per distinct window of the first, and k * k of these rows are added per
distinct window of the second. Biases, ReLU and zero padding are those of the dense form, to which
the results are equal but for the order of additions.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from spade_eval.models.fast.neighbourhoods import Windows
from spade_eval.models.fast.onednn import product

LOOKUP_COST = 20.0
"""What adding one looked-up value costs, in multiplications of a dense convolution; measured, see
docs/speed.md. Rules that choose a form read this constant and the batch, never a clock: a repeated
or continued run takes the same form and gives the same bits."""

_PRODUCTS_AT_ONCE = 2**21  # values: 8 MiB in float32
_CHANNELS = 16  # taken at a time, or a multiple: matrix products of odd widths are slower


def label_convolution(
    windows: Windows, weight: Tensor, bias: Tensor | None, *, edges: bool
) -> Tensor:
    """Convolve each distinct window with weight (C, labels, k, k) -> (count, C).

    With `edges` the last channel of the weight belongs to instance edges, and symbols count on
    past the other labels for the same labels with an edge. The symbol after the last is outside.
    """
    channels, _, *kernel = weight.shape
    rows = weight.permute(1, 2, 3, 0)  # (labels, k, k, C)
    outside = rows.new_zeros(1, *kernel, channels)
    if edges:
        table = torch.cat([rows[:-1], rows[:-1] + rows[-1:], outside])
    else:
        table = torch.cat([rows, outside])
    summed = F.embedding_bag(windows.rows, table.reshape(-1, channels), mode="sum")
    return summed if bias is None else summed + bias


def stacked_convolutions(
    windows: tuple[Windows, Windows],
    first: tuple[Tensor, Tensor],
    second: tuple[Tensor, Tensor],
    *,
    edges: bool,
) -> Tensor:
    """Compute convolution, ReLU, convolution -> (count of the second windows, C).

    Each convolution is (weight, bias) and has its windows (`windows_at`, layers 1, 2).
    """
    hidden = F.relu(label_convolution(windows[0], *first, edges=edges))
    # Zeros are padded after the ReLU: outside, the last row, the hidden layer is zero.
    return convolve_rows(F.pad(hidden, (0, 0, 0, 1)), windows[1], *second)


def convolve_rows(values: Tensor, windows: Windows, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolve with weight (C, F, k, k) -> (count, C); symbol i means row i of values.

    Every row times every tap, then sums of k * k of these: with a gradient, and with memory for
    only some channels at a time.
    """
    convolved: Tensor = _ConvolveRows.apply(values, windows, weight, bias)
    return convolved


class _ConvolveRows(torch.autograd.Function):
    """Some channels at a time, so that the products stay small: all of them can outgrow a cache
    and cost more to allocate than to compute."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, windows: Windows, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(values, weight)
        ctx.windows, rows = windows, windows.rows
        convolved = values.new_empty(rows.shape[0], weight.shape[0])
        for some in _channels_at_once(values, weight):
            products = product(values, _taps(weight[some]).T).view(-1, weight[some].shape[0])
            torch.add(
                F.embedding_bag(rows, products, mode="sum"), bias[some], out=convolved[:, some]
            )
        return convolved

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, Tensor, Tensor]:
        values, weight = ctx.saved_tensors
        gradient = gradients[0]
        of_values, of_weight = torch.zeros_like(values), torch.empty_like(weight)
        users, starts = ctx.windows.users(values.shape[0])
        for some in _channels_at_once(values, weight):
            of_products = F.embedding_bag(users, gradient[:, some].contiguous(), starts, mode="sum")
            of_products = of_products.view(values.shape[0], -1)
            of_values += product(of_products, _taps(weight[some]))
            of_taps = product(values.T, of_products.T).view(*weight.shape[1:], -1)
            of_weight[some] = of_taps.permute(3, 0, 1, 2)
        return of_values, None, of_weight, gradient.sum(0)


def _taps(weight: Tensor) -> Tensor:
    """(C, F, k, k) -> (F, k * k * C)."""
    return weight.permute(1, 2, 3, 0).flatten(1)


def _channels_at_once(values: Tensor, weight: Tensor) -> Iterator[slice]:
    channels, taps = weight.shape[0], weight[0, 0].numel()
    step = channels
    if values.device.type == "cpu":
        fitting = _PRODUCTS_AT_ONCE // (values.shape[0] * taps)
        step = max(1, round(fitting / _CHANNELS)) * _CHANNELS
    return (slice(start, start + step) for start in range(0, channels, step))
