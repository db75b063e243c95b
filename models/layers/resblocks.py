# SPDX-License-Identifier: Apache-2.0
"""Residual blocks: the SPADE block (Park et al., Fig. 11) and the pix2pixHD block.

Both can take the semantic map a second way, concatenated to the input of their convolutions: the
"w/ Concat" baselines of the paper's Table 3.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.models.layers.norms import appended_channels, apply_norm
from spade_eval.models.layers.semantic_convolution import SemanticConv2d, concat_semantics
from spade_eval.models.layers.spade import MakeNorm
from spade_eval.models.layers.weight_norm import convolution_norm
from spade_eval.models.semantics import SemanticMap

BLOCK_SLOPE = 0.2
"""Of the leaky ReLUs in SPADE blocks."""


class SPADEResBlock(nn.Module):
    """Pre-activation block: shortcut + conv_1(act(norm_1(conv_0(act(norm_0(x)))))).

    The shortcut is the identity, or norm and 1x1 convolution where the width changes. The code of
    the paper uses leaky ReLU 0.2 and a 1x1 shortcut; Fig. 11 prints ReLU and 3x3, which would not
    give the parameter count of Table 3.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        make_norm: MakeNorm,
        *,
        spectral: bool = True,
        concat_channels: int = 0,  # channels of the semantic map, if it is to be concatenated
    ) -> None:
        super().__init__()
        middle = min(in_channels, out_channels)
        self.concat = concat_channels > 0
        norm_0, norm_1 = make_norm(in_channels), make_norm(middle)
        wrap = convolution_norm(norm_0, spectral=spectral)
        extra = concat_channels + appended_channels(norm_0)
        self.conv_0 = wrap(SemanticConv2d(in_channels + extra, middle, 3, padding=1))
        self.conv_1 = wrap(SemanticConv2d(middle + extra, out_channels, 3, padding=1))
        self.norm_0, self.norm_1 = norm_0, norm_1
        self.learned_shortcut = in_channels != out_channels
        if self.learned_shortcut:
            self.conv_s = wrap(SemanticConv2d(in_channels + extra, out_channels, 1, bias=False))
            self.norm_s = make_norm(in_channels)

    def forward(self, x: Tensor, semantics: SemanticMap) -> Tensor:
        """Map (N, in_channels, H, W) -> (N, out_channels, H, W)."""
        shortcut = x
        if self.learned_shortcut:
            shortcut = self._conv(self.conv_s, apply_norm(self.norm_s, x, semantics), semantics)
        x = F.leaky_relu(apply_norm(self.norm_0, x, semantics), BLOCK_SLOPE)
        x = self._conv(self.conv_0, x, semantics)
        x = F.leaky_relu(apply_norm(self.norm_1, x, semantics), BLOCK_SLOPE)
        return self._conv(self.conv_1, x, semantics) + shortcut

    def _conv(self, conv: nn.Module, x: Tensor, semantics: SemanticMap) -> Tensor:
        convolved: Tensor = conv(x, semantics if self.concat else None)
        return convolved


class ConvNorm(nn.Module):
    """A convolution, the normalisation that follows it, and ReLU unless it is left out."""

    def __init__(self, conv: nn.Module, norm: nn.Module, *, relu: bool = True) -> None:
        super().__init__()
        self.conv = conv
        self.norm = norm
        self.relu = relu

    def forward(self, x: Tensor | None, semantics: SemanticMap) -> Tensor:
        """Map (N, C, H, W), or None for the map itself where a `SemanticConv2d` reads it."""
        normalised = apply_norm(self.norm, self._convolved(x, semantics), semantics)
        return F.relu(normalised) if self.relu else normalised

    def _convolved(self, x: Tensor | None, semantics: SemanticMap) -> Tensor:
        convolved: Tensor = self.conv(None, semantics) if x is None else self.conv(x)
        return convolved


class ReflectResBlock(nn.Module):
    """pix2pixHD's block: x + second(first(x)), `ConvNorm`s with reflection padding."""

    def __init__(self, first: ConvNorm, second: ConvNorm, concat: bool = False) -> None:
        super().__init__()
        self.first, self.second = first, second
        self.concat = concat

    def forward(self, x: Tensor, semantics: SemanticMap) -> Tensor:
        """Map (N, C, H, W) -> (N, C, H, W)."""
        inputs = concat_semantics(x, semantics) if self.concat else x
        residual: Tensor = self.second(self.first(inputs, semantics), semantics)
        return x + residual
