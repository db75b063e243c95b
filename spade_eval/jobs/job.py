# SPDX-License-Identifier: Apache-2.0
"""A job: one model on one dataset with one seed, as a command line of this very program.

Whoever runs it (this machine, Slurm, Ray) runs the same command. A job writes only into its run
folder, computes only what is not recorded there, and continues where it was stopped, so it may be
started again at any time.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

REFERENCES = "none"
"""The value of `--model` that scores real photos and the oracle alone."""

# Where `spade_eval` is imported from, so that a job runs this code wherever it is started.
CODE_FOLDER = Path(__file__).resolve().parents[2]
PROGRAM = (sys.executable, "-m", "spade_eval")

_GRACE_SECONDS = 30.0  # to save a checkpoint after SIGTERM
_TAIL_BYTES = 65_536


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is computed, and the folder where its records go."""

    dataset: str
    model: str  # a generator of the suite, or REFERENCES
    seed: int
    run_folder: Path
    flags: tuple[str, ...] = ()  # budget, data root, device and all else that jobs share

    @property
    def title(self) -> str:
        """Name in progress and errors."""
        what = "real and oracle" if self.model == REFERENCES else self.model
        return f"{what}, {self.dataset}, seed {self.seed}"

    @property
    def log(self) -> Path:
        """File of all that the job prints."""
        return self.run_folder / "logs" / f"{self.model}.log"

    @property
    def command(self) -> tuple[str, ...]:
        """The command line; reports are left to whoever started the jobs."""
        return (
            *PROGRAM, "benchmark", "--model", self.model, "--seed", str(self.seed),
            "--dataset", self.dataset, *self.flags, "--out", str(self.run_folder), "--no-report",
        )  # fmt: skip


def start(
    job: Job, variables: Mapping[str, str], folder: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start a job in a session of its own, with its output in its log.

    A session of its own keeps a terminal's Ctrl-C away from the job: whoever started it decides.
    """
    log = (folder or Path()) / job.log
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        return subprocess.Popen(
            job.command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": python_path(), **variables},
            cwd=folder,
            start_new_session=True,
        )


def python_path() -> str:
    """Return PYTHONPATH of a job: this code first."""
    given = os.environ.get("PYTHONPATH")
    return os.pathsep.join([str(CODE_FOLDER), *([given] if given else [])])


def stop(processes: Iterable[subprocess.Popen[bytes]], grace: float = _GRACE_SECONDS) -> None:
    """End jobs with all that they have started: SIGTERM, and SIGKILL for what is left."""
    stopped = list(processes)
    for process in stopped:
        _signal_group(process, signal.SIGTERM)
    deadline = time.monotonic() + grace
    for process in stopped:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))
        # Children of a job may outlive it.
        _signal_group(process, signal.SIGKILL)
        process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):  # macOS refuses groups of ended processes
        return


def last_lines(log: Path, count: int) -> list[str]:
    """Return the end of a log as a terminal would show it: of a progress bar, its last state."""
    if not log.is_file():
        return []
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        text = file.read().decode("utf-8", errors="replace")
    lines = [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n")]
    return [line for line in lines if line][-count:]
