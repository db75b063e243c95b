# SPDX-License-Identifier: Apache-2.0
"""Memory: freed blocks kept for the next batch, and the most that a piece of work took.

On Linux, glibc gives blocks of over 32 MiB back to the system as soon as they are freed, and the
system hands out pages one by one, zeroed: asking for a layer's activations anew costs more than
writing them. At 256x256 a third of the time of a generator went there (docs/speed.md). No result
changes. The command line calls this first, so torch is imported where it is used.
"""

import ctypes
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

# Numbers of glibc's <malloc.h>.
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8


def keep_freed_memory() -> bool:
    """Keep it for the whole process, from now on; return whether this system's C library can.

    Memory goes back to the system when the process ends; its peak stays what it was.
    """
    mallopt = _of_c_library("mallopt")
    # No blocks of their own from the system, and no return of what is free at the end of the heap,
    # of which there is one: else what a thread frees is kept, but not for the others.
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, -1), (_M_ARENA_MAX, 1))
    return mallopt is not None and all(mallopt(*setting) == 1 for setting in settings)


def wait_for(device: "torch.device") -> None:
    """Wait until everything that was asked of the device is done."""
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)


def reset_peak(device: "torch.device") -> None:
    """Count the peak from here on, where the system can.

    On a CPU what runs next has to ask the system for memory, so a run that is timed should not be
    the one whose peak is reported.
    """
    if device.type == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats(device)
        return
    malloc_trim = _of_c_library("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(0)  # what lies free would hide the peak
    try:
        Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak starts over from now
    except OSError:
        return


def peak_mib(device: "torch.device") -> float:
    """Return the peak in MiB, or -1 where the system does not tell."""
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return -1
    lines = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(lines[0].split()[1]) / 1024 if lines else -1


def _of_c_library(name: str) -> Any:
    """Return a function of this process's C library; None where it has none, as on macOS."""
    try:
        return getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError, TypeError):
        return None
