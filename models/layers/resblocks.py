# SPDX-License-Identifier: Apache-2.0
"""Residual blocks: the SPADE block (Park et al., Fig. 11) and the pix2pixHD block.

Both can take the semantic map a second way, concatenated to the input of their convolutions: the
"w/ Concat" baselines of the paper's Table 3.
"""

from torch import Tensor, nn

from spade_eval.models.fast.convolution import Form
from spade_eval.models.fast.semantic_convolution import SemanticConv2d, concat_semantics
from spade_eval.models.layers.norms import apply_norm
from spade_eval.models.layers.spade import SPADE, MakeNorm
from spade_eval.models.layers.spectral import spectral_norm
from spade_eval.models.semantics import SemanticMap


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
        self.form: Form = "chosen"
        wrap = spectral_norm if spectral else lambda conv: conv
        extra = concat_channels
        self.conv_0 = wrap(SemanticConv2d(in_channels + extra, middle, 3, padding=1))
        self.conv_1 = wrap(SemanticConv2d(middle + extra, out_channels, 3, padding=1))
        self.norm_0, self.norm_1 = make_norm(in_channels), make_norm(middle)
        self.learned_shortcut = in_channels != out_channels
        if self.learned_shortcut:
            self.conv_s = wrap(SemanticConv2d(in_channels + extra, out_channels, 1, bias=False))
            self.norm_s = make_norm(in_channels)

    def forward(self, x: Tensor, semantics: SemanticMap, overwrite: bool = False) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H, W); without gradients, `overwrite` allows
        to use the memory of x."""
        shortcut = x
        if self.learned_shortcut:
            shortcut = self._mixed(x, semantics)
        in_place = self.form != "dense"
        overwrite = overwrite and self.learned_shortcut and in_place
        x = apply_norm(self.norm_0, x, semantics, slope=0.2, overwrite=overwrite)
        x = self._conv(self.conv_0, x, semantics)
        x = apply_norm(self.norm_1, x, semantics, slope=0.2, overwrite=in_place)
        # In place: no layer needs a convolution's output to find its gradient.
        return self._conv(self.conv_1, x, semantics).add_(shortcut)

    def _mixed(self, x: Tensor, semantics: SemanticMap) -> Tensor:
        """The learned shortcut: norm and 1x1 convolution, in one go where that saves memory."""
        if isinstance(self.norm_s, SPADE) and not self.concat:
            mixed: Tensor = self.norm_s(x, semantics, mix=self.conv_s)
            return mixed
        return self._conv(self.conv_s, apply_norm(self.norm_s, x, semantics), semantics)

    def _conv(self, conv: nn.Module, x: Tensor, semantics: SemanticMap) -> Tensor:
        convolved: Tensor = conv(x, semantics if self.concat else None)
        return convolved


class ConvNorm(nn.Module):
    """A convolution, the normalisation that follows it, and an activation."""

    def __init__(self, conv: nn.Module, norm: nn.Module) -> None:
        super().__init__()
        self.conv = conv
        self.norm = norm
        self.form: Form = "chosen"

    def forward(self, x: Tensor | None, semantics: SemanticMap, slope: float = 1.0) -> Tensor:
        """None where the semantic map itself is the input, which a `SemanticConv2d` can read.

        Then leaky ReLU of that slope: 0 is ReLU, 1 none.
        """
        convolved = self.conv(None, semantics) if x is None else self.conv(x)
        return apply_norm(self.norm, convolved, semantics, slope, overwrite=self.form != "dense")


class ReflectResBlock(nn.Module):
    """pix2pixHD's block: x + convnorm_1(relu(convnorm_0(x))), reflection padding."""

    def __init__(self, first: ConvNorm, second: ConvNorm, concat: bool = False) -> None:
        super().__init__()
        self.first, self.second = first, second
        self.concat = concat

    def forward(self, x: Tensor, semantics: SemanticMap) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        inputs = concat_semantics(x, semantics) if self.concat else x
        hidden = self.first(inputs, semantics, slope=0.0)
        residual: Tensor = self.second(hidden, semantics)
        return x + residual
