# SPDX-License-Identifier: Apache-2.0
"""CLADE: normalisation whose scale and shift are looked up by class, and CLADE-ICPE.

Tan et al., "Efficient Semantic Image Synthesis via Class-Adaptive Normalization", TPAMI 2021. The
tables hold scale and shift themselves, not offsets from one as SPADE's. Names are those of the
published checkpoints.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.models.labels import Size
from spade_eval.models.layers.norms import ConditionalNorm, ParamFreeNorm, param_free_norm
from spade_eval.models.semantics import SemanticMap


class ClassAffine(nn.Module):
    """A scale and a shift of each channel for each class, and how they vary within a region."""

    def __init__(self, num_classes: int, channels: int, *, positional: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(num_classes, channels))
        self.bias = nn.Parameter(torch.zeros(num_classes, channels))
        self.positional = positional
        if positional:
            self.dist_conv_w = nn.Conv2d(2, 1, 1)
            self.dist_conv_b = nn.Conv2d(2, 1, 1)
            self.forget_positions()

    def forward(self, labels: Tensor, positions: Tensor | None) -> tuple[Tensor, Tensor]:
        """Map (N, h, w) classes (and (N, 2, h, w)) -> scale and shift, each (N, C, h, w)."""
        scale, shift = (
            F.embedding(labels, table).permute(0, 3, 1, 2) for table in (self.weight, self.bias)
        )
        if positions is None:
            return scale, shift
        scale = scale * (1 + self.dist_conv_w(positions))
        return scale, shift * (1 + self.dist_conv_b(positions))

    def forget_positions(self) -> None:
        """Begin with scales and shifts of the class alone."""
        for conv in (self.dist_conv_w, self.dist_conv_b) if self.positional else ():
            for parameter in conv.parameters():
                nn.init.zeros_(parameter)


class CLADE(ConditionalNorm):
    """x (N, C, H, W) and the semantic map -> (N, C, H, W), or with `edges` (N, C + 1, H, W).

    The channel behind the others is a 1x1 convolution of the instance edges. Of a soft map, each
    pixel has its strongest class.
    """

    def __init__(
        self,
        channels: int,
        num_classes: int,  # rows of the tables: channels of the semantic map but the edges
        *,
        param_free: ParamFreeNorm = "syncbatch",
        edges: bool = False,
        positional: bool = False,
    ) -> None:
        super().__init__()
        self.param_free_norm = param_free_norm(param_free, channels)
        self.class_specified_affine = ClassAffine(num_classes, channels, positional=positional)
        self.appended_channels = int(edges)
        if edges:
            self.inst_conv = nn.Conv2d(1, 1, 1)

    def forward(self, x: Tensor, semantics: SemanticMap) -> Tensor:
        """Normalise x, modulate it by class, and append the edges."""
        size = (x.shape[-2], x.shape[-1])
        scale, shift = self.modulation(semantics, size)
        y: Tensor = self.param_free_norm(x) * scale + shift
        if not self.appended_channels:
            return y
        return torch.cat([y, self.inst_conv(self._edges(semantics, size).to(x.dtype))], dim=1)

    def modulation(self, semantics: SemanticMap, size: Size) -> tuple[Tensor, Tensor]:
        """Return scale and shift, each (N, C, h, w), of the map resized to `size`."""
        affine = self.class_specified_affine
        positions = semantics.positions_at(size) if affine.positional else None
        scale, shift = affine(self._labels(semantics, size), positions)
        return scale, shift

    def _labels(self, semantics: SemanticMap, size: Size) -> Tensor:
        if semantics.is_hard:
            return semantics.labels_at(size)
        num_classes = self.class_specified_affine.weight.shape[0]
        return semantics.at(size)[:, :num_classes].argmax(dim=1)

    def _edges(self, semantics: SemanticMap, size: Size) -> Tensor:
        """(N, 1, h, w), of the last channel."""
        if not semantics.is_hard:
            return semantics.at(size)[:, -1:]
        edges = semantics.edges_at(size)
        if edges is None:
            raise ValueError(
                "the semantic map has no instance edges, which this network was built with; give "
                "an instance map and a layout with edges, or build with edges=False"
            )
        return edges[:, None]
