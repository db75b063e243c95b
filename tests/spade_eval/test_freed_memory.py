# SPDX-License-Identifier: Apache-2.0
"""Freed memory is used again, by any command."""

import subprocess
import sys

import pytest

# 64 MiB are 16,384 pages of 4 KiB, or 1,024 of 64 KiB; the system gives them one by one.
FAULTS = """
import resource
from spade_eval.freed_memory import keep_freed_memory
if {keep} and not keep_freed_memory():
    raise SystemExit("not here")
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = bytearray(2**26)
    block[::1024] = bytes(2**16)
    del block
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a setting of Linux' C library")
def test_a_block_of_the_same_size_costs_no_new_pages() -> None:
    assert _faults(keep=False) >= 1000
    assert _faults(keep=True) <= 100


def _faults(keep: bool) -> int:
    command = [sys.executable, "-c", FAULTS.format(keep=keep)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.stderr.strip() == "not here":
        pytest.skip("this C library has no such setting")
    return int(done.stdout)
