# SPDX-License-Identifier: Apache-2.0
"""Calls of a stranger's function: whatever it raises becomes one line, and it may be timed out."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch

from spade_eval.errors import UserError

T = TypeVar("T")


def answer_of(
    call: Callable[[], T], names: Sequence[str], whose: str, seconds: float | None = None
) -> T:
    """Return what a call returns for these label maps.

    `UserError` where it raises, or takes more than so many seconds: it is then left alone on its
    thread, which ends with the program, since Python cannot end it.
    """
    try:
        return call() if seconds is None else _in_time(call, seconds)
    except UserError:
        raise
    except _TooLongError as error:
        raise UserError(
            f"{whose}: no images after {seconds:g} s for {_maps(names)}; give it more time, or "
            "look at what it waits for"
        ) from error
    except Exception as error:  # whatever a stranger's code raises
        line = " ".join(str(error).split())
        raise UserError(
            f"{whose} raised {type(error).__name__} for {_maps(names)}: {line or 'no message'}"
        ) from error


@contextmanager
def own_random_numbers(
    seed: int, indices: Sequence[int], draw: int, device: torch.device
) -> Iterator[None]:
    """Seed torch's global numbers by seed and first image; they are as before afterwards.

    For functions that draw from them, so that they make the same images again, and a training that
    goes on around them is not moved.
    """
    (state,) = np.random.SeedSequence((seed, indices[0], draw)).generate_state(1, np.uint64)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(int(state))
        yield


class _TooLongError(Exception):
    """The call has not returned in time."""


def _in_time(call: Callable[[], T], seconds: float) -> T:
    returned: list[T] = []
    raised: list[Exception] = []

    def run() -> None:
        try:
            returned.append(call())
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if raised:
        raise raised[0]
    if not returned:
        raise _TooLongError
    return returned[0]


def _maps(names: Sequence[str]) -> str:
    """Name the label maps of a batch by the first one."""
    return names[0] if len(names) == 1 else f"the {len(names)} label maps from {names[0]} on"
