# SPDX-License-Identifier: Apache-2.0
"""A convolution of the semantic map, alone or concatenated to features."""

import torch
from torch import Tensor, nn

from spade_eval.models.semantics import SemanticMap


class SemanticConv2d(nn.Conv2d):
    """Stride 1, odd kernel, output as large as the input; the map's channels are the last ones."""

    def forward(self, x: Tensor | None, semantics: SemanticMap | None = None) -> Tensor:
        """Map features (N, C, H, W), or None for the map alone at its own size -> (N, out, H, W).

        Without a semantic map, x has all channels.
        """
        if semantics is not None:
            x = concat_semantics(x, semantics)
        assert x is not None
        return super().forward(x)


def concat_semantics(x: Tensor | None, semantics: SemanticMap) -> Tensor:
    """Concatenate x with the map at its resolution, (N, C, H, W) -> (N, C + num_labels, H, W)."""
    if x is None:
        return semantics.full
    return torch.cat([x, semantics.at((x.shape[-2], x.shape[-1])).to(x.dtype)], dim=1)
