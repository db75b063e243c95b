# SPDX-License-Identifier: Apache-2.0
"""A real training process, killed ten times at random moments, ends as an undisturbed one."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from small_training import flat

from spade_eval.models.checkpoints.files import load_state

WORKER = Path(__file__).parent / "workers" / "narrow_worker.py"
ROOT = Path(__file__).resolve().parents[3]
STEPS = 24
KILLS = 10


def start(folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, str(WORKER), str(folder), str(STEPS)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )


def kill_at_a_random_moment(process: subprocess.Popen[str], moments: random.Random) -> list[int]:
    """The steps that the process told of before it was killed."""
    assert process.stdout is not None
    told = [int(process.stdout.readline()) for _ in range(moments.randint(1, 2))]
    # Up to the length of a step: in the networks, in an optimizer, in the writing of the state.
    time.sleep(moments.random() * 0.3)
    process.kill()
    told += [int(line) for line in process.stdout.read().split()]
    assert process.wait() == -signal.SIGKILL
    return told


@pytest.mark.slow
def test_ten_kills_change_no_bit(tmp_path: Path) -> None:
    undisturbed = start(tmp_path / "undisturbed")
    moments = random.Random(0)
    reached = 0
    for _ in range(KILLS):
        told = kill_at_a_random_moment(start(tmp_path / "killed"), moments)
        assert told[0] <= reached + 1, "no step was skipped"
        reached = max(reached, told[-1])
    assert reached < STEPS
    last = start(tmp_path / "killed")
    assert (last.communicate(), last.returncode)[1] == 0
    assert (undisturbed.communicate(), undisturbed.returncode)[1] == 0
    expected, found = (
        load_state(tmp_path / name / "state.pt") for name in ("undisturbed", "killed")
    )
    assert expected["step"] == found["step"] == STEPS
    pairs = list(zip(flat(expected), flat(found), strict=True))
    assert len(pairs) > 500
    assert all(torch.equal(one, other) for one, other in pairs)
