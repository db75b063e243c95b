# SPDX-License-Identifier: Apache-2.0
"""Jobs on this machine: side by side, with failures that stop nobody, without orphans."""

import os
import signal
import time
from pathlib import Path

import pytest
from processes import Fork
from shell_jobs import launch_of, shell_job

from spade_eval.jobs import local
from spade_eval.jobs.launch import num_cpus, shares, visible_gpus
from spade_eval.jobs.local import run_here

# A job that ends only if another one runs at the same time.
MEETING = (
    "touch {folder}/{mine}; "
    "for i in $(seq 400); do [ -e {folder}/{other} ] && exit 0; sleep 0.05; done; exit 1"
)


def test_jobs_side_by_side_meet(tmp_path: Path) -> None:
    jobs = [
        shell_job(tmp_path, mine, MEETING.format(folder=tmp_path, mine=mine, other=other))
        for mine, other in (("a", "b"), ("b", "a"))
    ]
    assert run_here(launch_of(tmp_path, jobs, at_once=2)).failures == ()


def test_one_after_another_never_meet(tmp_path: Path) -> None:
    script = (
        f"[ -e {tmp_path}/busy ] && exit 1; touch {tmp_path}/busy; sleep 0.2; rm {tmp_path}/busy"
    )
    jobs = [shell_job(tmp_path, name, script) for name in "abc"]
    assert run_here(launch_of(tmp_path, jobs, at_once=None)).failures == ()


def test_a_stage_waits_for_the_one_before(tmp_path: Path) -> None:
    first = shell_job(tmp_path, "first", f"sleep 0.3; touch {tmp_path}/ready")
    second = shell_job(tmp_path, "second", f"[ -e {tmp_path}/ready ]")
    assert run_here(launch_of(tmp_path, [first], [second], at_once=4)).failures == ()


def test_a_failure_stops_nobody_and_shows_its_last_lines(tmp_path: Path) -> None:
    said: list[str] = []
    jobs = [
        shell_job(tmp_path, "bad", "seq 20; echo 'error: no such file' >&2; exit 2"),
        shell_job(tmp_path, "killed", "kill -KILL $$"),
        shell_job(tmp_path, "good", f"touch {tmp_path}/good"),
    ]
    outcome = run_here(launch_of(tmp_path, jobs, said=said))
    assert [failure.job.model for failure in outcome.failures] == ["bad", "killed"]
    assert [failure.reason for failure in outcome.failures] == ["exit code 2", "ended by SIGKILL"]
    assert (tmp_path / "good").exists()
    (told,) = (text for text in said if text.startswith("FAILED bad"))
    assert told.splitlines()[-1].strip() == "error: no such file"
    assert "13" not in told.split("\n    ")
    assert any(line.startswith("[3/3] good") for line in said)
    assert any(line.startswith("good, scenes, seed 0: done in 0:0") for line in said)


def test_of_a_long_job_it_is_said_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_PROGRESS_SECONDS", 0.3)
    said: list[str] = []
    scripts = {
        "far": "echo 'batch  20 images'; echo 'far: 8 of 24 images (33%) after 31 s, loss 1'",
        "new": "echo 'batch  20 images'",
    }
    jobs = [shell_job(tmp_path, name, f"{text}; sleep 1") for name, text in scripts.items()]
    run_here(launch_of(tmp_path, jobs, at_once=2, said=said))
    lines = [line for line in said if "running for" in line]
    assert any(
        line.endswith("running for 0:00; far: 8 of 24 images (33%) after 31 s, loss 1")
        for line in lines
    )
    assert "new, scenes, seed 0: running for 0:00" in lines
    assert not any("batch" in line for line in lines)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_no_orphan(tmp_path: Path, number: signal.Signals) -> None:
    process = Fork(Path(__file__).parent / "workers" / "sleeping_jobs.py", tmp_path)
    told = [tmp_path / name for name in "ab"]
    process.until(lambda: all(path.is_file() and path.read_text() for path in told))
    pids = [int(path.read_text()) for path in told]
    process.send(number)
    process.wait()
    assert "KeyboardInterrupt" in process.err
    for pid in pids:
        assert vanishes(pid)
    assert not (tmp_path / "c").exists()


def vanishes(group: int) -> bool:
    """Whether nothing of a process group is left; what was killed is reaped a moment later."""
    deadline = time.monotonic() + 20  # a job sleeps for 60 s
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_threads_and_gpus_are_divided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    alone = launch_of(tmp_path, at_once=1)
    assert shares(alone, 0) == {}
    pair = replace(alone, at_once=2, gpus=("0", "1", "2"))
    assert shares(pair, 0) == {
        "OMP_NUM_THREADS": str(max(1, num_cpus() // 2)), "CUDA_VISIBLE_DEVICES": "0,2",
    }  # fmt: skip
    assert shares(pair, 1)["CUDA_VISIBLE_DEVICES"] == "1"
    crowd = replace(alone, at_once=5, gpus=("4", "7"))
    assert [shares(crowd, slot)["CUDA_VISIBLE_DEVICES"] for slot in range(5)] == list("47474")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert shares(pair, 0)["OMP_NUM_THREADS"] == "1"


def test_gpus_are_those_that_are_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert visible_gpus(torch.device("cuda")) == ("3", "5")
    assert visible_gpus(torch.device("cuda:1")) == ()
    assert visible_gpus(torch.device("cpu")) == ()
