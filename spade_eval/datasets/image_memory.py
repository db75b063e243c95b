# SPDX-License-Identifier: Apache-2.0
"""Memory that the images of all threads take together: a thread waits before it takes too much.

A limit for each file alone would let eight threads take eight times as much. Nobody who holds
memory waits for more of its kind, so that nobody waits for ever.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from spade_eval.models.limits import MOST_BYTES_READ_AT_ONCE, MOST_PIXELS_AT_ONCE


class Budget:
    """An amount that threads share; one that asks for more than all of it gets it alone."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._taken = 0
        self._by_thread: Counter[int] = Counter()
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, amount: int) -> Iterator[None]:
        """Take an amount for the time of the block, once there is enough of it."""
        thread = threading.get_ident()
        with self._changed:
            while self._taken and self._taken + amount > self.most and not self._by_thread[thread]:
                self._changed.wait()
            self._add(thread, amount)
        try:
            yield
        finally:
            with self._changed:
                self._add(thread, -amount)
                self._changed.notify_all()

    def _add(self, thread: int, amount: int) -> None:
        self._taken += amount
        self._by_thread[thread] += amount
        if not self._by_thread[thread]:
            del self._by_thread[thread]


BYTES_READ = Budget(MOST_BYTES_READ_AT_ONCE)
PIXELS = Budget(MOST_PIXELS_AT_ONCE)

_piece = threading.local()


@contextmanager
def piece_of_work() -> Iterator[None]:
    """Hold what the images in the block take until it ends, since their arrays live on in it."""
    with ExitStack() as held:
        _piece.held = held
        try:
            yield
        finally:
            _piece.held = None


@contextmanager
def memory_of_image() -> Iterator[ExitStack]:
    """Yield where an image enters what it holds: for the block, or for the piece of work."""
    held: ExitStack | None = getattr(_piece, "held", None)
    if held is not None:
        yield held
        return
    with ExitStack() as of_block:
        yield of_block
