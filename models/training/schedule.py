# SPDX-License-Identifier: Apache-2.0
"""Learning rate over a run, as a multiple of the base rate."""

import math
from dataclasses import dataclass

FINE_TUNING = 0.2  # of the rate before (Wang et al., 2022, published code: 1e-4, then 2e-5)


@dataclass(frozen=True, kw_only=True)
class RateSchedule:
    """Constant for `constant` steps, then linear to 0 over `decay`, changing every `every` steps.

    With `every` = steps per epoch this is the SPADE release's schedule (section 4 and Appendix A):
    the first epoch of the decay still runs at the full rate and the last one at 1 / (number of
    decay epochs) of it.
    """

    constant: int
    decay: int
    every: int = 1

    def factor(self, step: int, decay: str = "linear", halve_every: int | None = None) -> float:
        """Return the multiplier at `step`, counted from 0; nothing depends on earlier steps.

        `decay` is "linear" (to zero), "halving" (every `halve_every` steps), "constant",
        "fine-tuning" (a fifth where the linear one falls), or "cosine" (from the first step on;
        Loshchilov & Hutter, ICLR 2017, Eq. 5 without restarts).
        """
        if decay == "constant":
            return 1.0
        if decay == "fine-tuning":
            return FINE_TUNING if self.is_second_part(step) else 1.0
        if decay == "halving":
            if not halve_every:
                raise ValueError(f"a rate halved every {halve_every}, expected a number of steps")
            return float(0.5 ** (step // halve_every))
        if decay == "cosine":
            done = min(1.0, step / (self.constant + self.decay))
            return 0.5 * (1.0 + math.cos(math.pi * done))
        period = step // self.every
        into_decay = max(0, period - self.constant // self.every)
        return max(0.0, 1.0 - into_decay / max(1, self.decay // self.every))

    def is_second_part(self, step: int) -> bool:
        """Return whether the constant part is over at `step`."""
        return step >= self.constant
