# SPDX-License-Identifier: Apache-2.0
"""SPADE: normalisation whose scale and shift are convolutions of the semantic map.

Park et al., CVPR 2019, Eq. 1 and Fig. 10. As in the published code, gamma is an offset from one:
y = norm(x) * (1 + gamma) + beta; the figure prints gamma alone. This file holds the equations;
hard label maps mostly take the equal form of `spade_eval.models.fast.spade`.
"""

from collections.abc import Callable
from functools import partial
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.models.fast.convolution import Conv2d, Form
from spade_eval.models.fast.spade import chosen_windows, spade_by_lookup
from spade_eval.models.labels import Size
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

    activates = True

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
        conv = partial(Conv2d, kernel_size=kernel_size, padding=kernel_size // 2)
        self.param_free_norm = param_free_norm(param_free, channels)
        self.mlp_shared = nn.Sequential(conv(num_labels, hidden_channels), nn.ReLU())
        self.mlp_gamma = conv(hidden_channels, channels)
        self.mlp_beta = conv(hidden_channels, channels)
        self.form: Form = "chosen"
        self.compiled = False  # the fast form's last step, see spade_eval.models.fast.accelerate

    def forward(
        self,
        x: Tensor,
        semantics: SemanticMap,
        slope: float = 1.0,
        overwrite: bool = False,
        mix: nn.Module | None = None,
    ) -> Tensor:
        """Modulated x, then leaky ReLU of that slope (1: none), then a 1x1 convolution if given.

        With `overwrite`, the memory of x may hold the result where no gradient is wanted.
        """
        size = (x.shape[-2], x.shape[-1])
        shared = cast(nn.Conv2d, self.mlp_shared[0])
        windows = chosen_windows(semantics, size, self.mlp_gamma, self.form)
        if windows is not None:
            return spade_by_lookup(
                x,
                windows,
                self.param_free_norm,
                (shared, self.mlp_gamma, self.mlp_beta),
                edges=semantics.has_edges,
                slope=slope,
                overwrite=overwrite,
                mix=mix,
                compiled=self.compiled,
            )
        gamma, beta = self.modulation(semantics, size)
        normalised: Tensor = self.param_free_norm(x)
        y = normalised * (1 + gamma) + beta
        y = y if slope == 1 else F.leaky_relu(y, slope)
        return y if mix is None else mix(y)

    def modulation(self, semantics: SemanticMap, size: Size) -> tuple[Tensor, Tensor]:
        """gamma and beta, each (N, C, h, w), from the semantic map resized to `size`."""
        hidden = self.mlp_shared(semantics.at(size))
        return self.mlp_gamma(hidden), self.mlp_beta(hidden)


def norm_maker(
    kind: NormKind,
    num_labels: int,
    *,
    param_free: ParamFreeNorm = "syncbatch",
    kernel_size: int = 3,
    hidden_channels: int = 128,
) -> MakeNorm:
    """What builds the normalisation layers of one generator; SPADE alone reads the last three."""
    if kind == "spade":
        return partial(
            SPADE,
            num_labels=num_labels,
            param_free=param_free,
            kernel_size=kernel_size,
            hidden_channels=hidden_channels,
        )
    if kind == "conditional_batch":
        return partial(ClassConditionalBatchNorm, num_labels=num_labels)
    if kind == "adain":
        return AdaptiveInstanceNorm
    if kind == "sft":
        return SpatialFeatureTransform
    return partial(unconditional_norm, kind)
