# SPDX-License-Identifier: Apache-2.0
"""SPADE: normalisation whose scale and shift are convolutions of the semantic map.

Park et al., CVPR 2019, Eq. 1 and Fig. 10. As in the published code, gamma is an offset from one;
the paper prints gamma alone.
"""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from spade_eval.models.labels import Size
from spade_eval.models.layers.clade import CLADE
from spade_eval.models.layers.norms import (
    AdaptiveInstanceNorm,
    ClassConditionalBatchNorm,
    ConditionalNorm,
    NormKind,
    ParamFreeNorm,
    SpatialFeatureTransform,
    param_free_norm,
    unconditional_norm,
)
from spade_eval.models.semantics import SemanticMap

MakeNorm = Callable[[int], nn.Module]
"""Channels -> normalisation layer; all else is fixed by a generator's configuration."""


class SPADE(ConditionalNorm):
    """x (N, C, H, W) and the semantic map of the batch -> (N, C, H, W)."""

    def __init__(
        self,
        channels: int,
        num_labels: int,
        *,
        param_free: ParamFreeNorm = "syncbatch",
        kernel_size: int = 3,
        hidden_channels: int = 128,
    ) -> None:
        super().__init__()
        conv = partial(nn.Conv2d, kernel_size=kernel_size, padding=kernel_size // 2)
        self.param_free_norm = param_free_norm(param_free, channels)
        self.mlp_shared = nn.Sequential(conv(num_labels, hidden_channels), nn.ReLU())
        self.mlp_gamma = conv(hidden_channels, channels)
        self.mlp_beta = conv(hidden_channels, channels)

    def forward(self, x: Tensor, semantics: SemanticMap) -> Tensor:
        """Normalise x, then modulate it by the map at its size."""
        gamma, beta = self.modulation(semantics, (x.shape[-2], x.shape[-1]))
        normalised: Tensor = self.param_free_norm(x)  # by mean and deviation, Eq. 2 and 3
        return normalised * (1 + gamma) + beta  # Eq. 1

    def modulation(self, semantics: SemanticMap, size: Size) -> tuple[Tensor, Tensor]:
        """Return gamma and beta, each (N, C, h, w), of the map resized to `size` (Fig. 10)."""
        hidden = self.mlp_shared(semantics.at(size))
        return self.mlp_gamma(hidden), self.mlp_beta(hidden)


def norm_maker(
    kind: NormKind,
    num_labels: int,
    *,
    param_free: ParamFreeNorm = "syncbatch",
    kernel_size: int = 3,
    hidden_channels: int = 128,
    edges: bool = False,
) -> MakeNorm:
    """Return what builds the norm layers of a generator from the number of channels.

    `param_free` is read by SPADE and CLADE, the two after it by SPADE alone. With `edges`, the last
    of the labels are instance edges, which CLADE layers append to what they return.
    """
    if kind == "spade":
        return partial(
            SPADE,
            num_labels=num_labels,
            param_free=param_free,
            kernel_size=kernel_size,
            hidden_channels=hidden_channels,
        )
    if kind in ("clade", "clade_icpe"):
        return partial(
            CLADE,
            num_classes=num_labels - edges,
            param_free=param_free,
            edges=edges,
            positional=kind == "clade_icpe",
        )
    if kind == "conditional_batch":
        return partial(ClassConditionalBatchNorm, num_labels=num_labels)
    if kind == "adain":
        return AdaptiveInstanceNorm
    if kind == "sft":
        return SpatialFeatureTransform
    return partial(unconditional_norm, kind)
