# SPDX-License-Identifier: Apache-2.0
"""CLADE's fast form: normalising, the look-up, modulating and the activation in one pass over x.

Equal to `models/layers/clade.py` but for rounding, gradients as well. Without positions a pixel's
scale and shift are a row of the layer's own tables, into which batch norm with fixed statistics
goes. Layers with positions, whose scales differ from pixel to pixel, and soft maps stay plain.
"""

import torch
from torch import Tensor

from spade_eval.models.fast.modulation import fixed_scale_and_shift, leaky_relu, modulate
from spade_eval.models.labels import Size
from spade_eval.models.layers.clade import CLADE
from spade_eval.models.semantics import SemanticMap


class FastCLADE(CLADE):
    """`CLADE`, which reads its tables once a pixel."""

    def forward(self, x: Tensor, semantics: SemanticMap) -> Tensor:
        """Compute as `CLADE.forward`."""
        return self.activated(x, semantics)

    def activated(
        self, x: Tensor, semantics: SemanticMap, slope: float = 1.0, *, overwrite: bool = False
    ) -> Tensor:
        """Modulate x, append the edges, and apply leaky ReLU of that slope (1: none).

        With `overwrite`, the memory of x may hold the result where no gradient is wanted.
        """
        affine = self.class_specified_affine
        if affine.positional or not semantics.is_hard or torch.compiler.is_compiling():
            return leaky_relu(super().forward(x, semantics), slope)
        scale: Tensor = affine.weight
        shift: Tensor = affine.bias
        fixed = fixed_scale_and_shift(self.param_free_norm)
        if fixed is None:
            x, overwrite = self.param_free_norm(x), True
        else:
            scale, shift = scale * fixed[0], shift + scale * fixed[1]
        size: Size = (x.shape[-2], x.shape[-1])
        rows = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]).contiguous()
        table = torch.cat([scale, shift], dim=1).to(x.dtype)
        ids = semantics.labels_at(size).flatten()
        y = modulate(rows, table, ids, slope, overwrite=overwrite)
        y = y.view(x.shape[0], *size, -1).permute(0, 3, 1, 2)
        return self._with_edges(y, semantics, slope)

    def _with_edges(self, y: Tensor, semantics: SemanticMap, slope: float) -> Tensor:
        if not self.appended_channels:
            return y
        edges = self._edges(semantics, (y.shape[-2], y.shape[-1])).to(y.dtype)
        return torch.cat([y, leaky_relu(self.inst_conv(edges), slope)], dim=1)
