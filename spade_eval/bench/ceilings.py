# SPDX-License-Identifier: Apache-2.0
"""What a device reaches at best in float32: the two ceilings of a roofline.

Williams et al., "Roofline: An Insightful Visual Performance Model", CACM 2009: nothing computes
faster than a large matrix product, and nothing moves memory faster than a large copy. Both are
measured, not read from a data sheet, so that the shares of other work are of what torch can reach.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch

from spade_eval.memory import wait_for

_SIDE = 2048  # of the matrices: 16 MiB each
_COPIED_MIB = 256  # far more than a processor's caches hold
_REPEATS = 5


@dataclass(frozen=True)
class Ceilings:
    """Of one device, in float32."""

    operations_per_second: float  # a multiply-add is two
    bytes_per_second: float  # read and written

    def bound_seconds(self, operations: int, moved: int) -> float:
        """The least time for so many operations and bytes, if each overlaps the other fully."""
        return max(operations / self.operations_per_second, moved / self.bytes_per_second)

    def binding(self, operations: int, moved: int) -> Literal["operations", "bytes"]:
        """Which of the two takes longer."""
        computing = operations / self.operations_per_second
        return "operations" if computing > moved / self.bytes_per_second else "bytes"


def measure_ceilings(
    device: torch.device,
    *,
    side: int = _SIDE,
    copied_mib: int = _COPIED_MIB,
    repeats: int = _REPEATS,
) -> Ceilings:
    """The best of `repeats` products of two (side, side) matrices, and of as many copies."""
    left, right = torch.randn(2, side, side, device=device)
    product = torch.empty_like(left)
    source = torch.ones(copied_mib * 2**18, device=device)
    target = torch.empty_like(source)
    product_seconds = _fastest(lambda: torch.mm(left, right, out=product), repeats, device)
    copy_seconds = _fastest(lambda: target.copy_(source), repeats, device)
    return Ceilings(2 * side**3 / product_seconds, 2 * source.nbytes / copy_seconds)


def _fastest(run: Callable[[], object], repeats: int, device: torch.device) -> float:
    """Seconds of the fastest run after a first one: others on the machine only ever slow it."""
    taken = []
    for _ in range(repeats + 1):
        wait_for(device)
        started = time.perf_counter()
        run()
        wait_for(device)
        taken.append(time.perf_counter() - started)
    return min(taken[1:])
