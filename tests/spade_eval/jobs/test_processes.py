# SPDX-License-Identifier: Apache-2.0
"""`--gpus N` and torchrun: who starts whom, and that an error is told once."""

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from processes import Fork

from spade_eval.cli import main
from spade_eval.errors import UserError
from spade_eval.files import locked
from spade_eval.jobs.processes import Plan, launch, starts_others
from spade_eval.models.training import distributed

ROOT = Path(__file__).resolve().parents[3]
TINY = ["--budget", "smoke", "--steps", "3", "--batch-size", "4", "--width", "0.0625"]
TWO = ["--gpus", "2", "--device", "cpu"]


def children_of(process: int) -> list[int]:
    listed = subprocess.run(
        ["pgrep", "-P", str(process)], capture_output=True, text=True, check=False
    )
    return [int(word) for word in listed.stdout.split()]


def is_alive(process: int) -> bool:
    """Whether it runs; not so of one that ended and whose parent has not asked how."""
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False
    )
    return state.stdout.strip()[:1] not in ("", "Z")


def launch_folder(worker: int) -> Path:
    """Where its command keeps what concerns all processes."""
    variables = Path(f"/proc/{worker}/environ").read_bytes().split(b"\0")
    name = b"SPADE_EVAL_LAUNCH_FOLDER="
    (value,) = (item.removeprefix(name) for item in variables if item.startswith(name))
    return Path(os.fsdecode(value))


def started_training(run: Path, *flags: object) -> Fork:
    """A training of two processes that has taken its first steps."""
    process = Fork(
        "spade_eval", "train", "--budget", "smoke", "--batch-size", 2, "--width", 0.0625, *TWO,
        *flags, "--out", run,
    )  # fmt: skip
    process.until(lambda: list(run.glob("checkpoints/*/losses.jsonl")))
    return process


def as_worker(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    place = {"RANK": 0, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size, "MASTER_ADDR": "localhost",
             "MASTER_PORT": 1}  # fmt: skip
    for name, value in place.items():
        monkeypatch.setenv(name, str(value))


def test_a_command_starts_processes_unless_it_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not starts_others(Plan(gpus=None))
    assert starts_others(Plan(gpus=1))
    with monkeypatch.context() as started:  # by a command with --gpus 1, as its only process
        started.setenv("SPADE_EVAL_LAUNCHER", str(os.getppid()))
        assert not starts_others(Plan(gpus=1))
    monkeypatch.setenv("SPADE_EVAL_LAUNCHER", str(os.getpid()))  # of a command further up
    assert starts_others(Plan(gpus=1))
    as_worker(monkeypatch, 2)
    assert not starts_others(Plan(gpus=2))
    assert not starts_others(Plan(gpus=None, nodes=2))
    with pytest.raises(UserError, match="--gpus 4, but torchrun started 2 processes"):
        starts_others(Plan(gpus=4))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--nodes", "2"], "--nodes 2 needs --gpus"),
        (["--gpus", "2", "--nodes", "2"], "--nodes 2 needs --rendezvous HOST:PORT"),
        (["--gpus", "2", "--device", "cuda:1"], "each process takes its own GPU"),
        (["segmenter", "--gpus", "2"], "trains in one process"),
    ],
)
def test_flags_that_do_not_fit_are_refused(
    flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["train", *flags])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_more_gpus_than_there_are_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(SystemExit) as ended:
        main(["benchmark", "--gpus", "2"])
    assert ended.value.code == 2
    line = capsys.readouterr().err
    assert line.startswith("error: --gpus 2, but this machine has 1;")
    assert line.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("restarts", [0, 2])
def test_an_error_of_all_processes_is_one_line(tmp_path: Path, restarts: int) -> None:
    process = Fork(
        "spade_eval", "train", *TINY, "--batch-size", 3, *TWO, "--restarts", restarts,
        "--out", tmp_path / "run",
    )  # fmt: skip
    assert process.wait() == 2
    told = [line for line in process.err.splitlines() if "error:" in line]
    assert len(told) == 1, process.err
    assert "3 images cannot be dealt evenly to 2 processes" in told[0]
    assert "Traceback" not in process.err
    assert process.out == ""


@pytest.mark.slow
def test_a_refusal_by_the_first_process_is_one_line(tmp_path: Path) -> None:
    with locked(tmp_path / "run" / "locks" / "spade.lock", wait=False):
        process = Fork("spade_eval", "train", *TINY, *TWO, "--out", tmp_path / "run")
        assert process.wait() == 2
    assert "is at work on spade" in process.err
    assert process.err.count("\n") == 1, process.err


@pytest.mark.slow
def test_an_error_of_one_process_under_torchrun_is_one_line() -> None:
    worker = Path(__file__).parent / "workers" / "refusing_worker.py"
    ended = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "3",
         str(worker)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    # Torchrun adds its own report, whose exit code is 1 whatever the processes' were.
    assert ended.returncode == 1
    told = [line for line in ended.stderr.splitlines() if line.startswith("error:")]
    assert told == ["error: the photo of sample 7 is damaged"]
    assert "Connection closed" not in ended.stderr


@pytest.mark.slow
def test_sigterm_saves_and_says_how_to_continue(tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = started_training(run, "--steps", 600)
    process.send(signal.SIGTERM)
    process.succeed()
    assert process.err.count("to continue: spade-eval train") == 1
    assert list(run.glob("checkpoints/*/state.pt"))
    assert not list(run.glob("checkpoints/*/*.safetensors"))


def test_who_failed_is_told_and_not_whom_torchrun_ended_for_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = distributed.Ended(failures={0: -signal.SIGTERM, 1: -signal.SIGABRT})
    monkeypatch.setattr(distributed, "run_workers", lambda arguments: ended)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(logging, "disable", lambda level: None)
    assert launch(Plan(gpus=2, device="cpu"), []) == 1
    assert "process 1 was ended by SIGABRT" in capsys.readouterr().err


def test_a_process_of_several_ends_without_its_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose end, beside processes that are gone already, aborts now and then."""

    def leave(code: int) -> NoReturn:
        raise EOFError(code)

    monkeypatch.setattr(os, "_exit", leave)
    as_worker(monkeypatch, 2)
    with pytest.raises(EOFError, match=r"^0$"):
        main(["protocol"])


@pytest.mark.slow
@pytest.mark.parametrize("restarts", [0, 1])
def test_a_killed_process_is_told_or_replaced(tmp_path: Path, restarts: int) -> None:
    run = tmp_path / "run"
    process = started_training(run, "--steps", 40, "--restarts", restarts)
    os.kill(children_of(process.pid)[-1], signal.SIGKILL)
    code, err = process.wait(), process.err
    assert "Traceback" not in err
    if restarts:
        assert code == 0, err
        assert list(run.glob("checkpoints/*/generator.safetensors"))
        return
    assert code == 1
    assert err.count("was ended by SIGKILL; start the command again to continue") == 1, err


@pytest.mark.slow
def test_processes_whose_command_is_killed_save_and_end(tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = started_training(run, "--steps", 600)
    workers = children_of(process.pid)
    assert len(workers) == 2
    folder = launch_folder(workers[0])
    assert folder.is_dir()
    process.kill()
    deadline = time.monotonic() + 60  # seconds; on a machine of its own it takes two
    while (alive := [worker for worker in workers if is_alive(worker)]) and (
        time.monotonic() < deadline
    ):
        time.sleep(0.1)
    for worker in alive:
        os.kill(worker, signal.SIGKILL)
    assert not alive
    assert not folder.exists()
    assert list(run.glob("checkpoints/*/state.pt"))
    assert not list(run.glob("checkpoints/*/*.safetensors"))
