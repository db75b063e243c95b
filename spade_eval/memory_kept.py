# SPDX-License-Identifier: Apache-2.0
"""Freed memory kept for the next batch, on Linux.

glibc gives blocks of over 32 MiB back to the system as soon as they are freed, and the system hands
out pages one by one, zeroed: asking for a layer's activations anew costs more than writing them.
At 256x256 a third of the time of a generator went there (docs/speed.md). No result changes.
"""

import ctypes
from typing import Any

# Numbers of glibc's <malloc.h>.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def keep_freed_memory() -> bool:
    """For the whole process, from now on; whether this system's C library can.

    Memory goes back to the system when the process ends; its peak stays what it was.
    """
    mallopt = _of_c_library("mallopt")
    # No blocks of their own from the system, and no return of what is free at the end of the heap.
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, -1))
    return mallopt is not None and all(mallopt(*setting) == 1 for setting in settings)


def return_freed_memory() -> None:
    """Give the system what is free at this moment, so that a peak can be told."""
    malloc_trim = _of_c_library("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(0)


def _of_c_library(name: str) -> Any:
    """A function of this process's C library; None where it has none of that name, as on macOS."""
    try:
        return getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError, TypeError):
        return None
