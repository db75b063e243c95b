# SPDX-License-Identifier: Apache-2.0
"""Scale, shift and activation of every pixel by the row of a table: leaky_relu(x * a[i] + b[i]).

`plain_modulation` is the formula. `modulate` is the same with a gradient, in pieces small enough
for a processor's cache: at 256x256 what it saves are passes over memory, which cost more than the
arithmetic. On other devices it runs in one piece. With `compiled`, torch.compile makes one kernel
of the formula; that takes tens of seconds once, so nothing asks for it by itself.
"""

import functools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm

_VALUES_AT_ONCE = 2**19  # of x; with its rows of the table a few megabytes
_LONGEST_SEGMENT = 512  # rows that are added one after another


def plain_modulation(x: Tensor, table: Tensor, ids: Tensor, slope: float) -> Tensor:
    """Modulate x (P, C) by table (D, 2C) of scales then shifts, ids (P,) in 0..D-1 -> (P, C)."""
    scale, shift = table[ids].chunk(2, dim=1)
    return F.leaky_relu(x * scale + shift, slope)


def modulate(
    x: Tensor,
    table: Tensor,
    ids: Tensor,
    slope: float,
    *,
    overwrite: bool = False,
    compiled: bool = False,
) -> Tensor:
    """Compute `plain_modulation`, fused; a slope of 1 is no activation.

    `overwrite` lets the result take the place of x where no gradient is wanted: new memory can cost
    more than the arithmetic. `compiled` counts there as well; its backward would add rows in any
    order on GPUs.
    """
    if compiled and not torch.is_grad_enabled():
        return _compiled_modulation(x.device.type)(x, table, ids, slope)
    if not torch.is_grad_enabled():
        return _modulated(x, table, ids, slope, x if overwrite else torch.empty_like(x))
    modulated: Tensor = _Modulate.apply(x, table, ids, slope)
    return modulated


def mixed_modulation(
    x: Tensor, table: Tensor, ids: Tensor, slope: float, mix: nn.Module, width: int
) -> Tensor:
    """Convolve the modulated x with a 1x1 kernel, (P, C) -> (P, out), without gradients.

    Pieces of the modulated x are all that there ever is of it. `width` pixels are a row of the
    image: of a single column the convolution could not tell that it is channels-last.
    """
    mixed: Tensor | None = None
    for rows in _pieces(x, width):
        y = _modulated(x[rows], table, ids[rows], slope, torch.empty_like(x[rows]))
        image = y.view(1, -1, width, x.shape[1]).permute(0, 3, 1, 2)
        piece = mix(image).permute(0, 2, 3, 1).flatten(0, 2)
        mixed = x.new_empty(x.shape[0], piece.shape[1]) if mixed is None else mixed
        mixed[rows] = piece
    assert mixed is not None
    return mixed


def modulated_densely(x: Tensor, both: Tensor, slope: float) -> Tensor:
    """Modulate x (N, C, h, w) by gamma and beta (N, 2C, h, w), then activate: with a gradient.

    The same as the formula, to the bit; of what lies between only 1 + gamma is kept.
    """
    if torch.compiler.is_compiling():
        gamma, beta = both.chunk(2, dim=1)
        return leaky_relu(x * (1 + gamma) + beta, slope)
    modulated: Tensor = _ModulateDensely.apply(x, both, slope)
    return modulated


def leaky_relu(x: Tensor, slope: float) -> Tensor:
    """Apply leaky ReLU; slope 0 is ReLU, and slope 1 costs no pass over memory."""
    if slope in (0, 1):
        return F.relu(x) if slope == 0 else x
    return F.leaky_relu(x, slope)


def fixed_scale_and_shift(norm: nn.Module) -> tuple[Tensor, Tensor] | None:
    """Return (C,) scale and shift where the norm is batch norm with fixed statistics, else None."""
    if not isinstance(norm, _BatchNorm) or norm.training or norm.running_var is None:
        return None
    assert norm.running_mean is not None
    scale = (norm.running_var + norm.eps).rsqrt()
    if norm.affine:
        scale = scale * norm.weight
    shift = -norm.running_mean * scale
    return scale, shift + norm.bias if norm.affine else shift


def scale_and_shift(x: Tensor, scale: Tensor, shift: Tensor, slope: float) -> Tensor:
    """Compute leaky_relu(x * scale + shift), (C,) each, in place of x (N, C, H, W), channels-last.

    What is left of batch norm with fixed statistics, and the activation, in one pass.
    """
    rows = x.permute(0, 2, 3, 1).view(-1, x.shape[1])
    _modulated(rows, torch.cat([scale, shift])[None], None, slope, rows)
    return x


def _modulated(x: Tensor, table: Tensor, ids: Tensor | None, slope: float, out: Tensor) -> Tensor:
    """Write into `out`, which may be x. Without ids, the table has one row for all pixels."""
    for rows in _pieces(x):
        picked = table if ids is None else table.index_select(0, ids[rows])
        scale, shift = picked.chunk(2, dim=1)
        torch.addcmul(shift, scale, x[rows], out=out[rows])
        if slope != 1:
            F.leaky_relu(out[rows], slope, inplace=True)
    return out


@functools.cache
def _compiled_modulation(device: str) -> Callable[[Tensor, Tensor, Tensor, float], Tensor]:
    """Return the compiled formula, or the plain one where nothing can compile here."""
    compiled = torch.compile(plain_modulation, dynamic=True)
    try:
        ones, ids = torch.ones(6, 4, device=device), torch.arange(6, device=device)
        compiled(ones[:, :2].contiguous(), ones, ids, 0.2)
    except Exception as error:  # no compiler, no Triton, a platform that torch leaves out
        warnings.warn(f"torch.compile does not work here: {error}; going on without", stacklevel=2)
        return plain_modulation
    return compiled


class _Modulate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, table: Tensor, ids: Tensor, slope: float) -> Tensor:
        y = _modulated(x, table, ids, slope, torch.empty_like(x))
        ctx.save_for_backward(x, table, ids, y)
        ctx.slope = slope
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        x, table, ids, y = ctx.saved_tensors
        channels = x.shape[1]
        gradient = gradients[0].contiguous()
        of_x = torch.empty_like(x)
        # A window can cover half the batch: in half precision its sum would stop growing.
        precise = torch.promote_types(table.dtype, torch.float32)
        of_table = torch.zeros_like(table, dtype=precise)
        scales = table[:, :channels].contiguous()
        for rows in _pieces(x):
            inner = gradient[rows]
            if ctx.slope != 1:  # y has the sign of what the activation was given
                inner = torch.ops.aten.leaky_relu_backward(inner, y[rows], ctx.slope, True)
            torch.mul(inner, scales.index_select(0, ids[rows]), out=of_x[rows])
            inner = inner.to(precise)
            both = inner.new_empty(inner.shape[0], 2 * channels)
            torch.mul(inner, x[rows], out=both[:, :channels])
            both[:, channels:] = inner
            _add_rows(of_table, ids[rows], both)
        return of_x, of_table.to(table.dtype), None, None


class _ModulateDensely(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, both: Tensor, slope: float) -> Tensor:
        gamma, beta = both.chunk(2, dim=1)
        scale = 1 + gamma
        y = (x * scale).add_(beta)
        if slope != 1:
            F.leaky_relu_(y, slope)
        ctx.save_for_backward(x, scale, y)
        ctx.slope = slope
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        x, scale, y = ctx.saved_tensors
        inner = gradients[0]
        if ctx.slope != 1:  # y has the sign of what the activation was given
            inner = torch.ops.aten.leaky_relu_backward(inner, y, ctx.slope, True)
        last = inner.is_contiguous(memory_format=torch.channels_last)
        of_both = torch.empty(
            (x.shape[0], 2 * x.shape[1], *x.shape[2:]), dtype=scale.dtype, device=scale.device,
            memory_format=torch.channels_last if last else torch.contiguous_format,
        )  # fmt: skip
        of_gamma, of_beta = of_both.chunk(2, dim=1)
        torch.mul(inner, x, out=of_gamma)
        of_beta.copy_(inner)
        return inner * scale, of_both, None


def _pieces(x: Tensor, multiple: int = 1) -> Iterator[slice]:
    rows, channels = x.shape
    step = rows if x.device.type != "cpu" else _VALUES_AT_ONCE // channels
    step = max(1, step // multiple) * multiple
    return (slice(start, start + step) for start in range(0, rows, step))


def _add_rows(table: Tensor, ids: Tensor, rows: Tensor) -> None:
    """table[ids[i]] += rows[i], in an order that is the same every time."""
    if table.device.type == "cpu":  # one thread, in order of i
        table.index_add_(0, ids, rows)
        return
    # CUDA's index_add_ adds in any order. Sorted rows are added in segments of bounded length, so
    # that a window that covers half the batch keeps more than one thread busy.
    order = torch.argsort(ids, stable=True)
    counts = torch.bincount(ids, minlength=table.shape[0])
    partial = _segment_sums(rows, order, counts)
    table += partial


def _segment_sums(rows: Tensor, order: Tensor, counts: Tensor) -> Tensor:
    """(D, C): sums of the rows order[0..counts[0]-1], order[counts[0]..], ..."""
    pieces = (counts + _LONGEST_SEGMENT - 1) // _LONGEST_SEGMENT
    owner = torch.repeat_interleave(pieces)
    within = torch.arange(owner.numel(), device=rows.device) - _starts(pieces)[owner]
    starts = _starts(counts)[owner] + within * _LONGEST_SEGMENT
    partial = F.embedding_bag(order, rows, starts, mode="sum")
    every = torch.arange(owner.numel(), device=rows.device)
    return F.embedding_bag(every, partial, _starts(pieces), mode="sum")


def _starts(counts: Tensor) -> Tensor:
    return counts.cumsum(0) - counts
