# SPDX-License-Identifier: Apache-2.0
"""A convolution of the semantic map, alone or concatenated to features.

What it computes is torch's convolution of the concatenated channels. A hard map's part of that is a
sum of table rows per distinct window, looked up at the pixels; features take the rest of the
weight. Neither the one-hot map nor the concatenation is made then.
"""

import torch
from torch import Tensor

from spade_eval.models.fast.convolution import Conv2d
from spade_eval.models.fast.label_convolution import LOOKUP_COST, label_convolution
from spade_eval.models.fast.neighbourhoods import Padding, Windows
from spade_eval.models.labels import Size
from spade_eval.models.semantics import SemanticMap

_LEAST_WORK = 2e8  # multiplications of the dense form below which finding windows cannot pay


class SemanticConv2d(Conv2d):
    """Stride 1, odd kernel, output as large as the input; the map's channels are the last ones."""

    def forward(self, x: Tensor | None, semantics: SemanticMap | None = None) -> Tensor:
        """Features (N, C, H, W), or None for the map alone at its own size -> (N, out, H, W).

        Without a semantic map, x has all channels and this is torch's convolution.
        """
        if semantics is None:
            assert x is not None
            return super().forward(x)
        size = semantics.size if x is None else (x.shape[-2], x.shape[-1])
        windows = self._chosen_windows(semantics, size)
        if windows is None:
            return super().forward(concat_semantics(x, semantics))
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

    def _chosen_windows(self, semantics: SemanticMap, size: Size) -> Windows | None:
        """None for the dense form; a function of the batch alone, counted in multiplications."""
        if self.form == "dense" or not semantics.is_hard or torch.compiler.is_compiling():
            return None
        pixels = semantics.batch_size * size[0] * size[1]
        taps = self.kernel_size[0] ** 2
        dense = pixels * taps * semantics.num_labels
        if self.form == "chosen" and dense * self.out_channels < _LEAST_WORK:
            return None
        padding: Padding = "reflect" if self.padding_mode == "reflect" else "zeros"
        windows = semantics.windows_at(size, self.kernel_size[0], padding=padding)
        cost = LOOKUP_COST * (windows.count * taps + pixels)
        return windows if self.form == "fast" or cost <= dense else None


def concat_semantics(x: Tensor | None, semantics: SemanticMap) -> Tensor:
    """(N, C, H, W) -> (N, C + num_labels, H, W): x, then the semantic map at its resolution."""
    if x is None:
        return semantics.full
    return torch.cat([x, semantics.at((x.shape[-2], x.shape[-1])).to(x.dtype)], dim=1)


def _at_pixels(table: Tensor, windows: Windows) -> Tensor:
    """(count, C) -> (N, C, H, W), channels-last in memory."""
    return table[windows.pixels].view(*windows.ids.shape, -1).permute(0, 3, 1, 2)
