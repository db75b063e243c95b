# SPDX-License-Identifier: Apache-2.0
"""The most memory that a piece of work took: of the process, or of a GPU's tensors."""

from pathlib import Path

import torch

from spade_eval.memory_kept import return_freed_memory


def wait_for(device: torch.device) -> None:
    """Until everything that was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def reset_peak(device: torch.device) -> None:
    """Count the peak from here on, where the system can.

    On a CPU what runs next has to ask the system for memory, so a run that is timed should not be
    the one whose peak is told.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    return_freed_memory()
    try:
        Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak starts over from now
    except OSError:
        return


def peak_mib(device: torch.device) -> float:
    """MiB, or -1 where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return -1
    lines = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(lines[0].split()[1]) / 1024 if lines else -1
