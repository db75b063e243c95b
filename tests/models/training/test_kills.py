# SPDX-License-Identifier: Apache-2.0
"""A training process, killed ten times at random moments, ends as an undisturbed one."""

import random
import signal
import time
from pathlib import Path

import pytest
import torch
from processes import Fork
from small_training import flat

from spade_eval.models.checkpoints.files import load_state

WORKER = Path(__file__).parent / "workers" / "narrow_worker.py"
STEPS = 32
KILLS = 10


def start(folder: Path, model: str) -> Fork:
    return Fork(WORKER, folder, STEPS, model)


def kill_at_a_random_moment(
    process: Fork, moments: random.Random, step_seconds: float
) -> list[int]:
    """The steps that the process told of before it was killed."""
    count = moments.randint(1, 2)
    process.until(lambda: process.out.count("\n") >= count)
    # Within a step: in the networks, in an optimizer, in the writing of the state.
    time.sleep(moments.random() * step_seconds)
    process.kill()
    assert process.code == -signal.SIGKILL
    return [int(line) for line in process.out.split()]


@pytest.mark.slow
@pytest.mark.parametrize("model", ["spade_vae", "oasis", "sdm"])
def test_ten_kills_change_no_bit(model: str, tmp_path: Path) -> None:
    begun = time.monotonic()
    start(tmp_path / "undisturbed", model).succeed()
    step_seconds = (time.monotonic() - begun) / STEPS
    moments = random.Random(0)
    reached = 0
    for _ in range(KILLS):
        told = kill_at_a_random_moment(start(tmp_path / "killed", model), moments, step_seconds)
        assert told[0] <= reached + 1, "no step was skipped"
        reached = max(reached, told[-1])
    assert reached < STEPS
    start(tmp_path / "killed", model).succeed()
    expected, found = (
        load_state(tmp_path / name / "state.pt") for name in ("undisturbed", "killed")
    )
    assert expected["step"] == found["step"] == STEPS
    pairs = list(zip(flat(expected), flat(found), strict=True))
    assert len(pairs) > 500
    assert all(torch.equal(one, other) for one, other in pairs)
