# SPDX-License-Identifier: Apache-2.0
"""The blocks of `models/layers/resblocks.py` with fewer passes over memory.

Norm and activation are one step where they can be, results take the place of what nobody needs
any more, and a SPADE layer hands its pixels to the learned shortcut's convolution as they come.
"""

import torch
from torch import Tensor, nn

from spade_eval.models.fast.clade import FastCLADE
from spade_eval.models.fast.modulation import fixed_scale_and_shift, leaky_relu, scale_and_shift
from spade_eval.models.fast.spade import FastSPADE
from spade_eval.models.layers.norms import apply_norm
from spade_eval.models.layers.resblocks import BLOCK_SLOPE, ConvNorm, SPADEResBlock
from spade_eval.models.semantics import SemanticMap


class FastSPADEResBlock(SPADEResBlock):
    """`SPADEResBlock`; `overwrite` says that whoever calls it does not use x afterwards."""

    overwrite = False

    def forward(self, x: Tensor, semantics: SemanticMap) -> Tensor:
        """Map x as the plain block does; without gradients, `overwrite` lets x be overwritten."""
        shortcut = self._shortcut(x, semantics) if self.learned_shortcut else x
        overwrite = self.overwrite and self.learned_shortcut
        x = activated_norm(self.norm_0, x, semantics, BLOCK_SLOPE, overwrite=overwrite)
        x = self._conv(self.conv_0, x, semantics)
        x = activated_norm(self.norm_1, x, semantics, BLOCK_SLOPE, overwrite=True)
        # In place: no layer needs a convolution's output to find its gradient.
        return self._conv(self.conv_1, x, semantics).add_(shortcut)

    def _shortcut(self, x: Tensor, semantics: SemanticMap) -> Tensor:
        """Compute norm and 1x1 convolution, in one go where that saves memory."""
        if isinstance(self.norm_s, FastSPADE) and not self.concat:
            return self.norm_s.activated(x, semantics, mix=self.conv_s)
        return self._conv(self.conv_s, apply_norm(self.norm_s, x, semantics), semantics)


class FastConvNorm(ConvNorm):
    """`ConvNorm`; what follows the convolution is done in the memory of its output."""

    def forward(self, x: Tensor | None, semantics: SemanticMap) -> Tensor:
        """Compute as `ConvNorm.forward`."""
        slope = 0.0 if self.relu else 1.0
        convolved = self._convolved(x, semantics)
        return activated_norm(self.norm, convolved, semantics, slope, overwrite=True)


def activated_norm(
    norm: nn.Module, x: Tensor, semantics: SemanticMap, slope: float, *, overwrite: bool
) -> Tensor:
    """Apply a norm, then leaky ReLU: slope 0 is ReLU, 1 none.

    `overwrite` tells that the caller has no further use for the values of x. Then, without
    gradients, batch norm with fixed statistics and the activation are one pass in the memory of x.
    """
    if (
        overwrite
        and not torch.is_grad_enabled()
        and x.is_contiguous(memory_format=torch.channels_last)
    ):
        fixed = fixed_scale_and_shift(norm)
        if fixed is not None and fixed[0].dtype == x.dtype:
            return scale_and_shift(x, *fixed, slope)
    if isinstance(norm, (FastSPADE, FastCLADE)):
        return norm.activated(x, semantics, slope, overwrite=overwrite)
    return leaky_relu(apply_norm(norm, x, semantics), slope)
