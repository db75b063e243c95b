# SPDX-License-Identifier: Apache-2.0
"""Spectral normalisation (Miyato et al., ICLR 2018) as the published checkpoints store it.

Parameter `weight_orig`, buffers `weight_u` and `weight_v`; one power iteration per training
forward (v first, then u), none in eval mode, where the stored vectors give the norm. There, without
gradients, the divided weight is kept until one of the three changes.
"""

from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.spectral_norm import SpectralNorm

Layer = TypeVar("Layer", bound=nn.Module)


class FoldedSpectralNorm(SpectralNorm):
    """Torch's hook, which divides the weight before a forward, but not again in vain."""

    def __init__(self, hook: SpectralNorm) -> None:
        vars(self).update(vars(hook))
        self.fold = True
        self._folded: tuple[object, ...] | None = None

    def __call__(self, module: nn.Module, inputs: Any) -> None:
        kept = self.fold and not torch.compiler.is_compiling()
        if not kept or module.training or torch.is_grad_enabled():
            self._folded = None
            super().__call__(module, inputs)
        elif self._folded is None or self._folded != self._state(module):
            super().__call__(module, inputs)
            self._folded = self._state(module)

    def _state(self, module: nn.Module) -> tuple[object, ...] | None:
        """Which tensors the weight was made of, and how often each was written to."""
        tensors = [
            cast(Tensor, getattr(module, self.name + suffix))
            for suffix in ("_orig", "_u", "_v", "")
        ]
        if any(tensor.is_inference() for tensor in tensors):  # these count no writes
            return None
        return tuple((t.data_ptr(), t._version, t.dtype, t.device) for t in tensors)


def spectral_norm(layer: Layer) -> Layer:
    """Divide the weight of a convolution or linear layer by its largest singular value."""
    nn.utils.spectral_norm(layer)
    for key, hook in layer._forward_pre_hooks.items():
        if isinstance(hook, SpectralNorm):
            layer._forward_pre_hooks[key] = FoldedSpectralNorm(hook)
    layer.register_forward_hook(_detach_weight)
    return layer


def _detach_weight(layer: nn.Module, inputs: Any, output: Any) -> None:
    """Let go of the graph after a forward: the effective weight is a plain attribute, and
    `copy.deepcopy` (hence EMA) refuses a tensor that still hangs on one."""
    layer.weight = cast(Tensor, layer.weight).detach()


def is_spectral(layer: nn.Module) -> bool:
    """Whether the layer's weight is spectrally normalised."""
    return hasattr(layer, "weight_orig")
