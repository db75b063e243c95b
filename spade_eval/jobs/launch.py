# SPDX-License-Identifier: Apache-2.0
"""What a launcher is given and what it answers; see `LAUNCHERS` for who they are."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spade_eval.jobs.job import Job, last_lines

if TYPE_CHECKING:
    import torch

_SHOWN_LINES = 8


@dataclass(frozen=True, kw_only=True)
class Launch:
    """Jobs in stages: those of a stage may run side by side, a stage waits for the one before."""

    title: str
    stages: tuple[tuple[Job, ...], ...]
    report: tuple[str, ...]  # the command that writes the table from what is recorded
    folder: Path  # for the launcher's own files
    at_once: int | None = None  # jobs side by side; None: as many as the launcher likes
    gpus: tuple[str, ...] = ()  # of this machine, as CUDA_VISIBLE_DEVICES names them
    processes: int = 1  # that a job itself starts, each of which wants a GPU if there are any
    sbatch: tuple[str, ...] = ()  # further options of sbatch, without their dashes
    say: Callable[[str], None]

    @property
    def num_jobs(self) -> int:
        """Number of jobs over all stages."""
        return sum(map(len, self.stages))


@dataclass(frozen=True)
class Failure:
    """A job that ended without its record, and the end of what it printed."""

    job: Job
    reason: str
    lines: tuple[str, ...] = ()

    @classmethod
    def of(cls, job: Job, reason: str) -> "Failure":
        """Make a failure with the last lines of the job's log."""
        return cls(job, reason, tuple(last_lines(job.log, _SHOWN_LINES)))

    def text(self) -> str:
        """Return the text for the person who started the jobs."""
        lines = [f"FAILED {self.job.title}: {self.reason}; the end of {self.job.log}:"]
        return "\n".join([*lines, *(f"    {line}" for line in self.lines or ("(empty)",))])


@dataclass(frozen=True)
class Outcome:
    """What failed; `submitted` where the jobs were handed over and nothing has been waited for."""

    failures: tuple[Failure, ...] = ()
    submitted: tuple[str, ...] = ()


def shares(launch: Launch, slot: int) -> dict[str, str]:
    """Return a job's environment in one of `at_once` places: its part of the threads and GPUs."""
    places = launch.at_once or 1
    if places == 1:
        return {}
    threads = max(1, num_cpus() // places)
    given = os.environ.get("OMP_NUM_THREADS", "")
    if given.isdecimal():
        threads = min(threads, int(given))
    variables = {"OMP_NUM_THREADS": str(threads)}
    if launch.gpus:
        mine = launch.gpus[slot::places] or (launch.gpus[slot % len(launch.gpus)],)
        variables["CUDA_VISIBLE_DEVICES"] = ",".join(mine)
    return variables


def num_cpus() -> int:
    """Count the CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def visible_gpus(device: "torch.device") -> tuple[str, ...]:
    """Return the GPUs that jobs may divide; none where one of them was asked for by number."""
    import torch

    if device.type != "cuda" or device.index is not None:
        return ()
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = given.split(",") if given else map(str, range(torch.cuda.device_count()))
    return tuple(names)
