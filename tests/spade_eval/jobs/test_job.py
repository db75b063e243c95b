# SPDX-License-Identifier: Apache-2.0
"""Jobs: the command line they are, the end of their logs, and that stopping leaves nothing."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import typer.main
from shell_jobs import shell_job

from spade_eval.cli import app
from spade_eval.jobs.job import PROGRAM, REFERENCES, Job, last_lines, start, stop


def is_running(pid: int) -> bool:
    """Whether a process exists and is not merely waiting to be collected."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        os.kill(pid, 0)
        return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + 20
    while not path.is_file() or not path.read_text().strip():
        assert time.monotonic() < deadline, f"{path} was not written"
        time.sleep(0.02)
    return path.read_text()


def test_a_job_is_a_command_line_of_this_program() -> None:
    job = Job(
        dataset="scenes", model="spade", seed=3, run_folder=Path("runs/a b"),
        flags=("--steps=7", "--size=64x96"),
    )  # fmt: skip
    words = list(job.command)
    assert tuple(words[: len(PROGRAM)]) == PROGRAM
    arguments = words[len(PROGRAM) :]
    command = typer.main.get_command(app).commands["benchmark"]  # type: ignore[attr-defined]
    parsed = command.make_context("benchmark", arguments[1:]).params
    assert arguments[0] == "benchmark"
    assert parsed["model"] == ["spade"]
    assert (parsed["dataset"], parsed["seed"], parsed["steps"]) == ("scenes", 3, 7)
    assert (parsed["size"], parsed["out"], parsed["report"]) == ("64x96", Path("runs/a b"), False)


def test_titles_tell_references_from_models(tmp_path: Path) -> None:
    assert shell_job(tmp_path, "spade", "").title == "spade, scenes, seed 0"
    assert shell_job(tmp_path, REFERENCES, "").title == "real and oracle, scenes, seed 0"


def test_a_log_ends_as_a_terminal_would_show_it(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    assert last_lines(log, 3) == []
    log.write_bytes(b"first\nsecond\n\nbar  1%\rbar 50%\rbar 99%\nerror: \xff no\n")
    assert last_lines(log, 2) == ["bar 99%", "error: \ufffd no"]
    log.write_bytes(b"x" * 200_000 + b"\nlast")
    assert last_lines(log, 1) == ["last"]


def test_jobs_run_this_code_wherever_they_are_started(tmp_path: Path) -> None:
    script = 'python -c "import spade_eval; print(spade_eval.__file__)"'
    process = start(shell_job(tmp_path, "where", script), {}, tmp_path)
    assert process.wait() == 0
    import spade_eval

    assert last_lines(tmp_path / "logs" / "where.log", 1) == [spade_eval.__file__]


def test_stopping_ends_children_too_and_those_that_will_not(tmp_path: Path) -> None:
    script = (
        "trap '' TERM\n"  # will not listen
        f"sleep 60 & echo $! > {tmp_path}/child\n"
        "while true; do sleep 0.1; done"
    )
    process = start(shell_job(tmp_path, "deaf", script), {})
    child = int(wait_for(tmp_path / "child"))
    stop([process], grace=0.3)
    assert process.returncode == -signal.SIGKILL
    # A killed process that nobody collects ends when it is scheduled next, long before its minute.
    deadline = time.monotonic() + 20
    while is_running(child):
        assert time.monotonic() < deadline, "the child was left running"
        time.sleep(0.02)


def test_stopping_leaves_time_to_save(tmp_path: Path) -> None:
    script = (
        f"trap 'echo saved > {tmp_path}/state; exit 0' TERM\n"
        f"echo up > {tmp_path}/up\n"
        "while true; do sleep 0.05; done"
    )
    process = start(shell_job(tmp_path, "saves", script), {})
    wait_for(tmp_path / "up")
    stop([process])
    assert process.returncode == 0
    assert (tmp_path / "state").read_text() == "saved\n"


def test_python_dash_m_is_the_program() -> None:
    done = subprocess.run([*PROGRAM, "--help"], capture_output=True, text=True, check=True)
    assert "benchmark" in done.stdout


@pytest.mark.parametrize("variable", ["OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"])
def test_variables_of_a_launcher_reach_the_job(tmp_path: Path, variable: str) -> None:
    process = start(shell_job(tmp_path, "env", f'echo "${variable}"'), {variable: "7"})
    assert process.wait() == 0
    assert last_lines(tmp_path / "logs" / "env.log", 1) == ["7"]
