# SPDX-License-Identifier: Apache-2.0
"""The one loop that measures: functions take turns, so that a busy machine slows all of them."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch

from spade_eval.memory import peak_mib, reset_peak, wait_for
from spade_eval.models.training.precision import DTYPES, tf32

T = TypeVar("T")
Row = dict[str, Any]
"""One line of JSON: what was measured and how long it took, by name."""
CPU = torch.device("cpu")
_WHOLE = "whole run"
# Of the matrices: on a GPU smaller ones end sooner than the next can be asked for.
_SIDES, _LARGE_SIDE = {"cpu": 2048}, 8192
_PRODUCTS = 5  # of which the fastest counts
_COPIED = 2**28  # bytes: more than any cache holds


class Clock:
    """Adds up the seconds inside of named phases; waits for the device at both ends."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, phase: str = _WHOLE) -> Iterator[None]:
        wait_for(self.device)
        started = time.perf_counter()
        try:
            yield
        finally:
            wait_for(self.device)
            self.seconds[phase] += time.perf_counter() - started


Run = Callable[[int, Clock], T]
"""Gets its number, below 0 in the warm-up, and a clock: what is inside of `with clock()` counts."""


def whole(function: Callable[[], T]) -> Run[T]:
    """Return a run all of which is timed."""

    def run(number: int, clock: Clock) -> T:
        with clock():
            return function()

    return run


@dataclass
class Timing(Generic[T]):
    """What the counted runs of one function took."""

    seconds: list[float] = field(default_factory=list)  # of each
    first_seconds: float = 0.0  # of the very first run, in which things are compiled and chosen
    phases: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))  # of all
    peak_mib: float | None = None  # of the process or the GPU's tensors; None: not known here
    value: T = field(init=False)  # of the last run

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def row(self) -> Row:
        """The fields that all benches share, in seconds."""
        return {
            "repeats": len(self.seconds),
            "seconds": self.median,
            "fastest": min(self.seconds),
            "slowest": max(self.seconds),
            "first": self.first_seconds,
        }

    def add(self, clock: Clock) -> None:
        """Count one run."""
        self.seconds.append(clock.seconds.pop(_WHOLE))
        for phase, seconds in clock.seconds.items():
            self.phases[phase] += seconds


def alternating(
    runs: Sequence[Run[T]], *, repeats: int, warm_up: int = 0, device: torch.device = CPU
) -> list[Timing[T]]:
    """Run every function `warm_up + repeats` times, in turn.

    Peak memory is that of a function's very first run, which has to ask the system for it and is
    not timed if there is a warm-up.
    """
    timings: list[Timing[T]] = [Timing() for _ in runs]
    for number in range(-warm_up, repeats):
        for run, timing in zip(runs, timings, strict=True):
            clock, is_first = Clock(device), number == -warm_up
            if is_first:
                reset_peak(device)
            timing.value = run(number, clock)
            if is_first:
                peak = peak_mib(device)
                timing.peak_mib = peak if peak >= 0 else None
                timing.first_seconds = clock.seconds[_WHOLE]
            if number >= 0:
                timing.add(clock)
    return timings


def matrix_product_rate(
    device: torch.device, side: int | None = None, precision: str = "float32"
) -> float:
    """Measure floating point operations a second of the fastest product of (side, side) matrices.

    About the most that this machine computes: the flat ceiling of a roofline (Williams et al.,
    CACM 2009). A multiply-add is two operations, as in `FlopCounterMode`.
    """
    side = side or _SIDES.get(device.type, _LARGE_SIDE)
    dtype = DTYPES.get(precision, torch.float32)
    left, right = torch.randn(2, side, side, device=device).to(dtype)
    with tf32(precision == "tf32"):
        return 2 * side**3 / _fastest(lambda: left @ right, device)


def copy_rate(device: torch.device, num_bytes: int = _COPIED) -> float:
    """Measure bytes a second of the fastest copy, read and written: the roofline's slope."""
    source = torch.zeros(num_bytes, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * num_bytes / _fastest(lambda: target.copy_(source), device)


def _fastest(function: Callable[[], object], device: torch.device) -> float:
    (timing,) = alternating([whole(function)], repeats=_PRODUCTS, warm_up=1, device=device)
    return min(timing.seconds)


def resident_bytes() -> int | None:
    """Return the memory of this process now, where the system tells (Linux)."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return None
    import resource

    return pages * resource.getpagesize()
