# SPDX-License-Identifier: Apache-2.0
"""Images synthesized in half precision: only where asked for, and never without their deviation."""

import copy

from torch import Tensor, nn

from spade_eval.models.choices import Precision
from spade_eval.models.inputs import Inputs
from spade_eval.models.systems.base import System
from spade_eval.models.training.precision import DTYPES


class HalfPrecision:
    """A generator in bf16 or fp16: weights, label maps and activations.

    The first batch is made in float32 as well, so that every number comes with the difference.
    """

    def __init__(self, system: type[System], generator: nn.Module, precision: Precision) -> None:
        self.system, self.generator, self.precision = system, generator, precision
        self.dtype = DTYPES[precision]
        self._half = copy.deepcopy(generator).to(self.dtype)
        self._deviation: Tensor | None = None  # of the first batch, in 8-bit levels

    def __call__(self, inputs: Inputs) -> Tensor:
        """(N, 3, H, W) float32 in [-1, 1]."""
        images = self.system.synthesized_by(self._half, inputs.to(self.dtype)).float()
        if self._deviation is None:
            exact = self.system.synthesized_by(self.generator, inputs)
            self._deviation = (images - exact).abs() * 127.5
        return images

    def note(self, name: str) -> str:
        """What must stand beside every number of these images."""
        differs = ""
        if self._deviation is not None:
            mean, largest = self._deviation.mean().item(), self._deviation.max().item()
            differs = (
                f": on the first batch {mean:.2f} of 255 levels from float32 on average, "
                f"{largest:.1f} at most"
            )
        return (
            f"{name}: images synthesized in {self.precision}{differs}; scores are reported in "
            "float32 unless asked otherwise."
        )
