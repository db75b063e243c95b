# SPDX-License-Identifier: Apache-2.0
"""Freed memory kept for the next batch, on Linux.

glibc gives blocks of over 32 MiB back to the system as soon as they are freed, and the system hands
out pages one by one, zeroed: asking for a layer's activations anew costs more than writing them.
At 256x256 a third of the time of a generator went there (docs/speed.md). No result changes.
"""

import ctypes

# Numbers of glibc's <malloc.h>.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def keep_freed_memory() -> bool:
    """For the whole process, from now on; whether this system's C library can.

    Memory goes back to the system when the process ends; its peak stays what it was.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # musl, macOS, Windows
        return False
    # No blocks of their own from the system, and no return of what is free at the end of the heap.
    return mallopt(_M_MMAP_MAX, 0) == 1 and mallopt(_M_TRIM_THRESHOLD, -1) == 1
