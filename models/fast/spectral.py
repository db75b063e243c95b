# SPDX-License-Identifier: Apache-2.0
"""Spectral norm divided out once: in eval mode, without gradients, the weight stays as it is until
one of the tensors that it was made of is written to."""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.spectral_norm import SpectralNorm


class FoldedSpectralNorm(SpectralNorm):
    """Torch's hook, which divides the weight before a forward, but not again without need."""

    _folded: tuple[object, ...] | None = None

    def __call__(self, module: nn.Module, inputs: Any) -> None:
        if module.training or torch.is_grad_enabled() or torch.compiler.is_compiling():
            self._folded = None
            super().__call__(module, inputs)
        elif self._folded is None or self._folded != self._state(module):
            super().__call__(module, inputs)
            self._folded = self._state(module)

    def _state(self, module: nn.Module) -> tuple[object, ...] | None:
        """Return which tensors the weight was made of, and how often each was written to."""
        tensors = [
            cast(Tensor, getattr(module, self.name + suffix))
            for suffix in ("_orig", "_u", "_v", "")
        ]
        if any(tensor.is_inference() for tensor in tensors):  # these count no writes
            return None
        return tuple((t.data_ptr(), t._version, t.dtype, t.device) for t in tensors)
