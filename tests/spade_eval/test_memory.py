# SPDX-License-Identifier: Apache-2.0
"""Freed memory is used again, and peaks are told in spite of it; each in its own process."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="settings of Linux' C library"
)

# 64 MiB are 16,384 pages of 4 KiB, or 1,024 of 64 KiB; the system gives them one by one.
FAULTS = """
import resource
from spade_eval.memory import keep_freed_memory
if {keep} and not keep_freed_memory():
    raise SystemExit("not here")
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = bytearray(2**26)
    block[::1024] = bytes(2**16)
    del block
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

PEAKS = """
import torch
from spade_eval.memory import keep_freed_memory, peak_mib, reset_peak
if not keep_freed_memory() or peak_mib(torch.device("cpu")) < 0:
    raise SystemExit("not here")
for mib in (8, 512, 64):
    reset_peak(torch.device("cpu"))
    torch.ones(mib * 2**18)
    print(peak_mib(torch.device("cpu")))
"""


def test_a_block_of_the_same_size_costs_no_new_pages() -> None:
    (asked,), (kept,) = (_printed(FAULTS.format(keep=keep)) for keep in (False, True))
    assert asked >= 1000
    assert kept <= 100


def test_peaks_are_told_though_memory_is_kept() -> None:
    least, most, between = _printed(PEAKS)
    # What they differ by, give or take what else a process frees and asks for.
    assert most - least == pytest.approx(504, abs=30)
    assert between - least == pytest.approx(56, abs=30)


def _printed(program: str) -> list[float]:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    if done.stderr.strip() == "not here":
        pytest.skip("this system has no such setting")
    return [float(line) for line in done.stdout.split()]
