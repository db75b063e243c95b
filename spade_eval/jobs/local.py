# SPDX-License-Identifier: Apache-2.0
"""Jobs on this machine, one after another or some side by side.

A job that fails does not stop the others. Ctrl-C, SIGTERM or a closed terminal end every job
before this process ends; what they have saved is there when they are started again.
"""

import signal
import subprocess
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from spade_eval.jobs.job import Job, last_lines, start, stop
from spade_eval.jobs.launch import Failure, Launch, Outcome, shares
from spade_eval.progress import is_progress

_POLL_SECONDS = 0.2
_PROGRESS_SECONDS = 60.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Running:
    """The jobs of a launch that run now, by place."""

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self.processes: dict[int, tuple[Job, subprocess.Popen[bytes], float]] = {}
        self.failures: list[Failure] = []
        self.started = 0

    def run(self, stage: tuple[Job, ...], interrupted: list[int]) -> None:
        """Run all jobs of a stage; `KeyboardInterrupt` once a signal has come."""
        waiting, said = deque(stage), time.monotonic()
        while waiting or self.processes:
            while waiting and len(self.processes) < (self.launch.at_once or 1):
                self.start(waiting.popleft())
            if not self.ended():
                time.sleep(_POLL_SECONDS)
            # Signals only leave a mark: an exception between the start of a job and its entry in
            # the table would leave an orphan.
            if interrupted:
                raise KeyboardInterrupt
            if time.monotonic() - said > _PROGRESS_SECONDS:
                said = time.monotonic()
                self.say_progress()

    def start(self, job: Job) -> None:
        slot = next(
            place for place in range(len(self.processes) + 1) if place not in self.processes
        )
        self.processes[slot] = (job, start(job, shares(self.launch, slot)), time.monotonic())
        self.started += 1
        self.launch.say(f"[{self.started}/{self.launch.num_jobs}] {job.title}: started")

    def ended(self) -> list[int]:
        """Return places that became free; failures are noted with the end of their logs."""
        places = [
            slot for slot, (_, process, _) in self.processes.items() if process.poll() is not None
        ]
        for slot in places:
            job, process, began = self.processes.pop(slot)
            if process.returncode:
                failure = Failure.of(job, _reason(process.returncode))
                self.failures.append(failure)
                self.launch.say(failure.text())
            else:
                self.launch.say(f"{job.title}: done in {_minutes(time.monotonic() - began)}")
        return places

    def say_progress(self) -> None:
        for job, _, began in self.processes.values():
            how_far = [line for line in last_lines(job.log, 1) if is_progress(line)]
            running = f"running for {_minutes(time.monotonic() - began)}"
            self.launch.say(f"{job.title}: {'; '.join([running, *how_far])}")

    def stop(self) -> None:
        stop(process for _, process, _ in self.processes.values())


def run_here(launch: Launch) -> Outcome:
    """Run all stages, `at_once` jobs side by side (one where it is None)."""
    running = _Running(launch)
    with _marked_signals() as interrupted:
        try:
            for stage in launch.stages:
                running.run(stage, interrupted)
        finally:
            running.stop()
    return Outcome(tuple(running.failures))


def _reason(code: int) -> str:
    return f"exit code {code}" if code > 0 else f"ended by {signal.Signals(-code).name}"


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


@contextmanager
def _marked_signals() -> Iterator[list[int]]:
    """Yield a list that holds the signals which have asked this process to end."""
    marks: list[int] = []

    def mark(number: int, _: FrameType | None) -> None:
        marks.append(number)

    previous = {number: signal.signal(number, mark) for number in _SIGNALS}
    try:
        yield marks
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
