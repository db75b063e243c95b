# SPDX-License-Identifier: Apache-2.0
"""SPADE's fast form: gamma and beta once per distinct label neighbourhood, looked up at the pixels.

Exact: the dense form of `models/layers/spade.py` is its specification, and gradients agree as well.
Which form a layer takes is a function of the batch, the resolution and the kind of device, never of
a clock, so that a repeated or continued run takes the same one and gives the same bits.
"""

from typing import cast

import torch
from torch import Tensor, nn

from spade_eval.models.fast.label_convolution import LOOKUP_COST, stacked_convolutions
from spade_eval.models.fast.modulation import (
    fixed_scale_and_shift,
    leaky_relu,
    mixed_modulation,
    modulate,
    modulated_densely,
)
from spade_eval.models.fast.neighbourhoods import Windows, windows_at
from spade_eval.models.labels import Size
from spade_eval.models.layers.spade import SPADE
from spade_eval.models.semantics import SemanticMap

# Multiplications of the dense form, in one layer, below which finding windows cannot pay.
_LEAST_WORK = {"cpu": 1e9, "cuda": 2e10}
# Turning gamma's and beta's weights into tables, in pixels of the dense form.
_WEIGHTS_COST = 512
_MOST_COST = 0.9  # of the dense form's


class FastSPADE(SPADE):
    """`SPADE`, which looks up where that is faster, or `always` where it can.

    `compiled` lets torch.compile fuse the last step, where gradients are off.
    """

    always = False
    compiled = False

    def forward(self, x: Tensor, semantics: SemanticMap) -> Tensor:
        """Compute as `SPADE.forward`."""
        return self.activated(x, semantics)

    def activated(
        self,
        x: Tensor,
        semantics: SemanticMap,
        slope: float = 1.0,
        *,
        overwrite: bool = False,
        mix: nn.Module | None = None,
    ) -> Tensor:
        """Modulate x, apply leaky ReLU of that slope (1: none), and a 1x1 convolution if given.

        With `overwrite`, the memory of x may hold the result where no gradient is wanted.
        """
        size = (x.shape[-2], x.shape[-1])
        windows = chosen_windows(semantics, size, self.mlp_gamma, always=self.always)
        if windows is None:
            # Scores and samples stay as they were, to the bit.
            if self.training:
                y = self._trained(x, semantics, slope)
            else:
                y = leaky_relu(super().forward(x, semantics), slope)
            return y if mix is None else mix(y)
        fixed = fixed_scale_and_shift(self.param_free_norm)
        if fixed is None:
            x = self.param_free_norm(x)
            overwrite = True
        table = self._table(windows, fixed, edges=semantics.has_edges).to(x.dtype)
        ids = windows[1].pixels
        batch, channels, height, width = x.shape
        # Of one image that is not channels-last, rows would be columns of memory without a copy.
        rows = x.permute(0, 2, 3, 1).reshape(-1, channels).contiguous()
        if mix is not None and not torch.is_grad_enabled():
            y = mixed_modulation(rows, table, ids, slope, mix, width)
            return y.view(batch, height, width, -1).permute(0, 3, 1, 2)
        y = modulate(rows, table, ids, slope, overwrite=overwrite, compiled=self.compiled)
        y = y.view(batch, height, width, channels).permute(0, 3, 1, 2)
        return y if mix is None else mix(y)

    def _trained(self, x: Tensor, semantics: SemanticMap, slope: float) -> Tensor:
        """Compute the dense form with one convolution for gamma and beta, which read the same.

        Their gradients are one as well: with few channels both cost about what one of them does.
        """
        shared = cast(nn.Conv2d, self.mlp_shared[0])
        both = self.mlp_gamma._conv_forward(
            self.mlp_shared(semantics.at_for(shared.weight, (x.shape[-2], x.shape[-1]))),
            torch.cat([self.mlp_gamma.weight, self.mlp_beta.weight]),
            torch.cat([_bias(self.mlp_gamma), _bias(self.mlp_beta)]),
        )
        return modulated_densely(self.param_free_norm(x), both, slope)

    def _table(
        self, windows: tuple[Windows, Windows], fixed: tuple[Tensor, Tensor] | None, *, edges: bool
    ) -> Tensor:
        """(distinct windows, 2 * C): 1 + gamma and beta of each.

        In evaluation mode batch norm is one scale and shift a channel (`fixed`) and goes into the
        weights of gamma and beta.
        """
        shared = cast(nn.Conv2d, self.mlp_shared[0])
        gamma_weight, gamma_bias = self.mlp_gamma.weight, 1 + _bias(self.mlp_gamma)
        beta_weight, beta_bias = self.mlp_beta.weight, _bias(self.mlp_beta)
        if fixed is not None:
            scale, shift = fixed
            beta_weight = beta_weight + gamma_weight * shift.view(-1, 1, 1, 1)
            beta_bias = beta_bias + gamma_bias * shift
            gamma_weight = gamma_weight * scale.view(-1, 1, 1, 1)
            gamma_bias = gamma_bias * scale
        return stacked_convolutions(
            windows,
            (shared.weight, _bias(shared)),
            (torch.cat([gamma_weight, beta_weight]), torch.cat([gamma_bias, beta_bias])),
            edges=edges,
        )


def chosen_windows(
    semantics: SemanticMap, size: Size, second: nn.Conv2d, *, always: bool = False
) -> tuple[Windows, Windows] | None:
    """Return what the two convolutions look up at that resolution, or None for the dense form.

    `second` is one of the two second convolutions. Counted in products of a row with one tap: the
    dense form takes one a pixel and tap, the fast one one an inner window and tap, and the sums of
    looked-up rows for the outer ones. Constants: docs/speed.md.
    """
    # A network that is compiled as a whole stays dense: how many windows there are depends on the
    # batch, so that every batch would be compiled anew.
    if not semantics.is_hard or torch.compiler.is_compiling():
        return None
    pixels = semantics.batch_size * size[0] * size[1]
    least = _LEAST_WORK.get(semantics.device.type, _LEAST_WORK["cuda"])
    if not always and dense_work(pixels, second) < least:
        return None
    windows = lookup_windows(semantics, size, second.kernel_size[0])
    cost = lookup_cost(windows, second.in_channels)
    return windows if always or cost <= _MOST_COST * pixels else None


def dense_work(pixels: int, second: nn.Conv2d) -> int:
    """Count the multiplications of gamma and beta in the dense form."""
    return 2 * pixels * second.weight.numel()


def lookup_windows(semantics: SemanticMap, size: Size, kernel_size: int) -> tuple[Windows, Windows]:
    """Find the windows that the first convolution, and the second on its outputs, tell apart."""
    inner = windows_at(semantics, size, kernel_size)
    return inner, windows_at(semantics, size, kernel_size, layer=2)


def lookup_cost(windows: tuple[Windows, Windows], hidden: int) -> float:
    """Return what looking up costs, in pixels of the dense form."""
    inner, outer = windows
    return inner.count + LOOKUP_COST / hidden * outer.count + _WEIGHTS_COST


def _bias(conv: nn.Conv2d) -> Tensor:
    return cast(Tensor, conv.bias)
