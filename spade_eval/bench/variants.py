# SPDX-License-Identifier: Apache-2.0
"""The ways in which the same numbers are computed, and what becomes of them on a device."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spade_eval.errors import UserError
from spade_eval.models.training.precision import DTYPES

PRECISIONS = ("tf32", "bf16", "fp16")
"""Besides float32, for which TensorFloat-32 is switched off."""
_PASSES_BEFORE_RECORDING = 3  # libraries choose algorithms and take workspaces in the first ones


@dataclass(frozen=True)
class Variant:
    """One way to compute the same images, or the same classes of their pixels."""

    fast: bool
    compiled: bool = False
    precision: str = "float32"
    channels_last: bool = False
    graph: bool = False  # recorded once as a CUDA graph, then replayed

    @property
    def name(self) -> str:
        parts = ["fast" if self.fast else "dense"]
        parts += ["compiled"] * self.compiled + ["channels-last"] * self.channels_last
        parts += ["graph"] * self.graph
        return "+".join(parts + [self.precision] * (self.precision != "float32"))

    @property
    def dtype(self) -> torch.dtype:
        """Of the computation; TensorFloat-32 is a way to multiply float32."""
        return DTYPES.get(self.precision, torch.float32)

    @property
    def needs_cuda(self) -> bool:
        return self.graph or self.precision == "tf32"


DENSE = Variant(fast=False)


def variants(compiled: bool, precisions: Sequence[str]) -> list[Variant]:
    """Return the dense form first, then what it is compared with."""
    chosen = [DENSE, Variant(fast=True)]
    if compiled:
        chosen += [Variant(fast=False, compiled=True), Variant(fast=True, compiled=True)]
    return chosen + [
        Variant(fast=fast, precision=name) for name in precisions for fast in (False, True)
    ]


def replayed(function: Callable[[], Tensor], device: torch.device) -> Callable[[], Tensor]:
    """Record a function without gradients as a CUDA graph; return what replays it.

    It may read and write tensors of the device alone and never wait for it. New inputs are written
    into the tensors that it reads; its result lies in one tensor, which the next replay overwrites.
    `UserError` on another kind of device, torch's own error where the function cannot be recorded.
    """
    if device.type != "cuda":
        raise UserError(f"a CUDA graph on {device.type}: only CUDA records them")
    with torch.cuda.device(device), torch.no_grad():
        current, side = torch.cuda.current_stream(device), torch.cuda.Stream(device)
        side.wait_stream(current)
        with torch.cuda.stream(side):
            for _ in range(_PASSES_BEFORE_RECORDING):
                function()
        current.wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            result = function()

    def replay() -> Tensor:
        graph.replay()
        return result

    return replay
