# SPDX-License-Identifier: Apache-2.0
"""Learning rate over a run: constant, then linear decay (SPADE, section 4 and Appendix A)."""

from dataclasses import dataclass

from torch.optim import Optimizer


@dataclass(frozen=True, kw_only=True)
class LinearDecay:
    """Constant for `constant` steps, then linear over `decay` steps, changing every `every` steps.

    With `every` = steps per epoch this is the release's schedule: the first epoch of the decay
    still runs at the full rate and the last one at 1 / (number of decay epochs) of it.
    """

    constant: int
    decay: int
    every: int = 1

    def factor(self, step: int) -> float:
        """Multiplier of the base learning rate at `step`, counted from 0."""
        period = step // self.every
        into_decay = max(0, period - self.constant // self.every)
        return max(0.0, 1.0 - into_decay / max(1, self.decay // self.every))

    def apply(self, optimizer: Optimizer, base_rate: float, step: int) -> None:
        """Set the rate of `step`; nothing depends on what the optimizer held before."""
        for group in optimizer.param_groups:
            group["lr"] = base_rate * self.factor(step)
