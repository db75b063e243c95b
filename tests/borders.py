# SPDX-License-Identifier: Apache-2.0
"""What a stranger's file may do at any border of the suite: be right, or be refused in one line.

A trial reads one changed file. What is refused is a `UserError` of one line, which the command
line turns into exit code 2; what is accepted is judged by the test, by something that does not
share the reader: the sound file where checksums protect it, else Python's own reader of the format.
"""

import resource
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from spade_eval.errors import UserError

T = TypeVar("T")
SECONDS = 5.0  # for one file; the slowest sound one takes a tenth of a second
MEBIBYTES = 500  # that all trials of a border may add to the peak; a sound file takes a few
LONGEST_LINE = 1600


def tried(
    path: Path,
    variants: Iterable[tuple[int, bytes]],
    read: Callable[[Path], T],
    right: Callable[[T], bool],
) -> tuple[int, int]:
    """Read each variant from `path`; returns how many were accepted and how many refused."""
    accepted = refused = 0
    before = _peak_mebibytes()
    for seed, content in variants:
        path.write_bytes(content)
        value, refusal = _read(path, read, seed)
        if refusal is None:
            assert right(value), f"seed {seed}: accepted, and wrong"
            accepted += 1
        else:
            assert _is_one_line(refusal), f"seed {seed}: {refusal:.300}"
            refused += 1
    assert _peak_mebibytes() - before < MEBIBYTES
    return accepted, refused


def _read(path: Path, read: Callable[[Path], T], seed: int) -> tuple[Any, str | None]:
    """Return what was read and no refusal, or None and the refusal; anything else is a fault."""
    try:
        with _bounded():
            return read(path), None
    except UserError as error:
        return None, str(error)
    except Exception as error:
        raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}") from error


def _is_one_line(message: str) -> bool:
    return bool(message) and "\n" not in message and len(message) < LONGEST_LINE


@contextmanager
def _bounded() -> Iterator[None]:
    """End what hangs."""

    def end(*_: object) -> None:
        raise TimeoutError(f"reading one small file took more than {SECONDS} s")

    # Of the process, which others do not slow down; and by the clock, for what only waits.
    timers = {
        signal.SIGPROF: (signal.ITIMER_PROF, SECONDS),
        signal.SIGALRM: (signal.ITIMER_REAL, 20 * SECONDS),
    }
    before = {number: signal.signal(number, end) for number in timers}
    for timer, seconds in timers.values():
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for number, (timer, _) in timers.items():
            signal.setitimer(timer, 0)
            signal.signal(number, before[number])


def _peak_mebibytes() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
