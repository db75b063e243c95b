# SPDX-License-Identifier: Apache-2.0
"""Convolutions of the semantic map by look-up, alone or concatenated to features.

A hard map's part of the convolution is a sum of table rows per distinct window, looked up at the
pixels; features take the rest of the weight. Neither the one-hot map nor the concatenation is made.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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
        if semantics is None:
            return super().forward(x)
        size: Size = semantics.size if x is None else (x.shape[-2], x.shape[-1])
        weight = self.weight[:, -semantics.num_labels :]
        of_map = map_convolution(self, weight, semantics, size, always=self.always)
        if x is None or of_map is None:
            return super().forward(x, semantics) if of_map is None else of_map
        channels = x.contiguous(memory_format=torch.channels_last)
        y = self._conv_forward(channels, self.weight[:, : x.shape[1]], None)
        return y.add_(of_map.to(y.dtype))


def map_convolution(
    layer: nn.Conv2d,
    weight: Tensor,
    semantics: SemanticMap,
    size: Size,
    *,
    always: bool = False,
) -> Tensor | None:
    """Convolve the map of a size by look-up -> (N, out, h, w), channels-last in memory.

    As the layer does, padded by half its kernel, with its bias and `weight`, the map's part of its
    own. None where the dense form is faster or the only one: the batch alone decides.
    """
    if not semantics.is_hard or torch.compiler.is_compiling():
        return None
    if not always and dense_work(layer, semantics, size) < _LEAST_WORK:
        return None
    windows = map_windows(layer, semantics, size)
    if not always and lookup_cost(layer, windows) > dense_work(layer, semantics, size):
        return None
    table = label_convolution(windows, weight, layer.bias, edges=semantics.has_edges)
    # Its gradient adds up in one order; that of an index, with several threads, in any.
    return F.embedding(windows.ids, table).permute(0, 3, 1, 2)


def dense_work(layer: nn.Conv2d, semantics: SemanticMap, size: Size) -> int:
    """Count the multiplications of the map's part in the dense form."""
    pixels = semantics.batch_size * (size[0] // layer.stride[0]) * (size[1] // layer.stride[1])
    return pixels * layer.kernel_size[0] ** 2 * semantics.num_labels * layer.out_channels


def lookup_cost(layer: nn.Conv2d, windows: Windows) -> float:
    """Return what looking up costs, in such multiplications."""
    sums = windows.count * layer.kernel_size[0] ** 2 + windows.pixels.numel()
    return LOOKUP_COST * sums * layer.out_channels


def map_windows(layer: nn.Conv2d, semantics: SemanticMap, size: Size) -> Windows:
    """Find the windows of the map that this convolution tells apart."""
    padding: Padding = "reflect" if layer.padding_mode == "reflect" else "zeros"
    kernel_size, stride = layer.kernel_size[0], layer.stride[0]
    return windows_at(semantics, size, kernel_size, padding=padding, stride=stride)
