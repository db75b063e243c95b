# SPDX-License-Identifier: Apache-2.0
"""Attention's fast form: torch's fused one, which never holds the weights of all pixels.

`models/layers/diffusion.py` is its specification. With gradients it is taken on the CPU alone:
GPUs would add up theirs in any order, and a repeated training would not give the same bits.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from spade_eval.models.layers.diffusion import Attention


class FastAttention(Attention):
    """`Attention`, fused."""

    def attended(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Compute as `Attention.attended`."""
        if q.device.type != "cpu" and torch.is_grad_enabled():
            return super().attended(q, k, v)
        # Contiguous, as the kernel that holds no weights wants them.
        q, k, v = (part.transpose(1, 2).contiguous()[None] for part in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v)[0].transpose(1, 2)
