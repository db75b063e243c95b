# SPDX-License-Identifier: Apache-2.0
"""Measurements one after another within a time, the most important first.

Whatever one of them yields is kept at once, so that a machine that is taken away takes nothing
with it. What does not fit into the time that is left is passed over, and said; so is what fails.
"""

import gc
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch

from spade_eval.bench.timing import Row
from spade_eval.errors import UserError

Keep = Callable[["Measurement", Row], None]


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One entry of the page; its rows are of one kind, `bench`."""

    bench: str
    section: str
    title: str
    seconds: float  # guessed, for one large GPU; the pace of the machine corrects it
    rows: Callable[[], Iterable[Row]]


def run_campaign(
    measurements: Sequence[Measurement],
    seconds: float,
    keep: Keep,
    done: Callable[[], None],
    tell: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Take the measurements in order; rows of what was left out or failed have a `note`.

    `keep` gets each row at once, `done` is called after each measurement.
    """
    start, guessed, taken = clock(), 0.0, 0.0
    for item in measurements:
        # The first few are taken at their guess; then the machine has shown its pace.
        pace = taken / guessed if guessed else 1.0
        expected, left = item.seconds * pace, seconds - (clock() - start)
        if expected > left:
            note = f"left out: about {expected:.0f} s expected, {max(left, 0):.0f} s left"
            keep(item, {"note": note})
            done()
            continue
        tell(f"{item.section}: {item.title} (about {expected:.0f} s of {left:.0f} s left)")
        began = clock()
        _measure(item, keep)
        done()
        guessed, taken = guessed + item.seconds, taken + clock() - began
        _let_go()


def _measure(item: Measurement, keep: Keep) -> None:
    try:
        for row in item.rows():
            keep(item, row)
    except (UserError, OSError) as error:
        keep(item, {"note": f"failed: {error}"})
    except (
        Exception
    ) as error:  # no memory, no compiler, a kernel that is missing: the next one goes on
        text = (str(error).strip() or "no message").splitlines()[0]
        keep(item, {"note": f"failed: {type(error).__name__}: {text[:300]}"})


def _let_go() -> None:
    """Free what a measurement held, so that the next one's peak is its own."""
    if "torch._dynamo" in sys.modules:  # else nothing was compiled, and importing it takes seconds
        torch.compiler.reset()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
