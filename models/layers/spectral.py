# SPDX-License-Identifier: Apache-2.0
"""Spectral normalisation (Miyato et al., ICLR 2018) as the published checkpoints store it.

Parameter `weight_orig`, buffers `weight_u` and `weight_v`; one power iteration per training
forward (v first, then u: Algorithm 1), none in eval mode, where the stored vectors give the norm.
"""

from typing import Any, TypeVar, cast

from torch import Tensor, nn

Layer = TypeVar("Layer", bound=nn.Module)


def spectral_norm(layer: Layer) -> Layer:
    """Divide the weight of a convolution or linear layer by its largest singular value (Eq. 8)."""
    nn.utils.spectral_norm(layer)
    layer.register_forward_hook(_detach_weight)
    return layer


def _detach_weight(layer: nn.Module, inputs: Any, output: Any) -> None:
    """Let go of the graph after a forward: the effective weight is a plain attribute, and
    `copy.deepcopy` (hence EMA) refuses a tensor that still hangs on one."""
    layer.weight = cast(Tensor, layer.weight).detach()


def is_spectral(layer: nn.Module) -> bool:
    """Return whether the layer's weight is spectrally normalised."""
    return hasattr(layer, "weight_orig")
