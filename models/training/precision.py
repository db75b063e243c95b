# SPDX-License-Identifier: Apache-2.0
"""How a step is computed: number format, memory format, compilation.

Mixed precision as in Micikevicius et al., ICLR 2018: convolutions and matrix products in half
precision, weights, optimizer and losses in float32; fp16 with scaled gradients. None of it leaves a
trace in the global state of torch.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from spade_eval.models.choices import Precision

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, kw_only=True)
class ComputeSettings:
    """Every field changes the last bits of the weights, so all of them belong to a run's hash."""

    precision: Precision = "float32"
    channels_last: bool = False
    compile: bool = False  # with torch.compile; states and exports hold the plain networks


def autocast(precision: Precision, device_type: str) -> torch.autocast:
    """Return the context of a forward pass in that precision; float32 switches an outer one off."""
    half = DTYPES.get(precision)
    return torch.autocast(device_type, dtype=half, enabled=half is not None)


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Allow TensorFloat-32 in matrix products and convolutions on CUDA, restored afterwards."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


def as_channels_last(network: nn.Module) -> None:
    """Store the kernels of convolutions, spectrally normalised ones too, channels last in place.

    A convolution whose kernel is stored so takes and gives its maps in the same order.
    """
    for weight in network.parameters():
        if weight.ndim == 4:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)


class ScaledOptimizer:
    """An optimizer and, for fp16, the factor that keeps small gradients from becoming zero.

    A step whose gradients overflow is left out and the factor halved, as torch's GradScaler does.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, precision: Precision, device_type: str
    ) -> None:
        self.optimizer = optimizer
        # From torch's 2**16 the first updates of these networks overflow and would be left out.
        enabled = precision == "fp16"
        self.scaler = torch.amp.GradScaler(device_type, init_scale=2.0**10, enabled=enabled)

    def zero_grad(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)

    def backward(self, loss: Tensor) -> None:
        """Add the (scaled) gradients of a loss."""
        self.scaler.scale(loss).backward()

    def gradient_norm(self, parameters: Iterable[nn.Parameter]) -> Tensor:
        """Return the L2 norm of all gradients as they are without the factor; they stay."""
        gradients = [item.grad for item in parameters if item.grad is not None]
        scale: float = self.scaler.get_scale()  # 1 where nothing is scaled
        return nn.utils.get_total_norm(gradients) / scale

    def step(self) -> None:
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def state_dict(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer.state_dict(), "scaler": self.scaler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
