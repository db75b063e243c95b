# SPDX-License-Identifier: Apache-2.0
"""Convolutions of the semantic map by look-up, alone or concatenated to features.

A hard map's part of the convolution is a sum of table rows per distinct window, looked up at the
pixels; features take the rest of the weight. Neither the one-hot map nor the concatenation is made.
"""

import torch
from torch import Tensor

from spade_eval.models.fast.label_convolution import LOOKUP_COST, label_convolution
from spade_eval.models.fast.neighbourhoods import Padding, Windows, windows_at
from spade_eval.models.fast.winograd import FastConv2d
from spade_eval.models.labels import Size
from spade_eval.models.layers.semantic_convolution import SemanticConv2d
from spade_eval.models.semantics import SemanticMap

_LEAST_WORK = 2e8  # multiplications of the dense form below which finding windows cannot pay


class FastSemanticConv2d(SemanticConv2d, FastConv2d):
    """`SemanticConv2d`, equal but for the order of additions."""

    def forward(self, x: Tensor | None, semantics: SemanticMap | None = None) -> Tensor:
        """Look the map's part up where that is faster, or `always` where it can be."""
        windows = None if semantics is None else self._chosen_windows(x, semantics)
        if semantics is None or windows is None:
            return super().forward(x, semantics)
        of_map = label_convolution(
            windows,
            self.weight[:, -semantics.num_labels :],
            self.bias,
            edges=semantics.has_edges,
        )
        if x is None:
            return _at_pixels(of_map, windows)
        channels = x.contiguous(memory_format=torch.channels_last)
        y = self._conv_forward(channels, self.weight[:, : x.shape[1]], None)
        return y.add_(_at_pixels(of_map.to(y.dtype), windows))

    def _chosen_windows(self, x: Tensor | None, semantics: SemanticMap) -> Windows | None:
        """Choose by the batch alone, counted in multiplications; None for the dense form."""
        if not semantics.is_hard or torch.compiler.is_compiling():
            return None
        size: Size = semantics.size if x is None else (x.shape[-2], x.shape[-1])
        pixels = semantics.batch_size * size[0] * size[1]
        work = self.dense_work(pixels, semantics.num_labels)
        if not self.always and work < _LEAST_WORK:
            return None
        windows = self.windows(semantics, size)
        return windows if self.always or self.lookup_cost(windows) <= work else None

    def dense_work(self, pixels: int, num_labels: int) -> int:
        """Count the multiplications of the map's part in the dense form."""
        return pixels * self.kernel_size[0] ** 2 * num_labels * self.out_channels

    def lookup_cost(self, windows: Windows) -> float:
        """Return what looking up costs, in such multiplications."""
        sums = windows.count * self.kernel_size[0] ** 2 + windows.pixels.numel()
        return LOOKUP_COST * sums * self.out_channels

    def windows(self, semantics: SemanticMap, size: Size) -> Windows:
        """Find the windows of the map that this convolution tells apart."""
        padding: Padding = "reflect" if self.padding_mode == "reflect" else "zeros"
        return windows_at(semantics, size, self.kernel_size[0], padding=padding)


def _at_pixels(table: Tensor, windows: Windows) -> Tensor:
    """(count, C) -> (N, C, H, W), channels-last in memory."""
    return table[windows.pixels].view(*windows.ids.shape, -1).permute(0, 3, 1, 2)
