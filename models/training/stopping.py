# SPDX-License-Identifier: Apache-2.0
"""SIGTERM and SIGINT as a request to stop after the step that is running, with everything saved.

A second signal of the same kind acts as it would have without this. Imports no torch, so that the
command line can name `TrainingStopped` at no cost.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class TrainingStopped(Exception):  # noqa: N818 (not an error: it was asked for)
    """A run that ended early because a signal asked for it; its state is saved."""


class StopRequest:
    """Whether a signal came."""

    def __init__(self) -> None:
        self.requested = False


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Turn the signals into a request; outside of the main thread there are none to turn."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def handle(number: int, frame: FrameType | None) -> None:
        request.requested = True
        signal.signal(number, before[signal.Signals(number)])

    for number in _SIGNALS:
        signal.signal(number, handle)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
