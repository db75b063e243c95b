# SPDX-License-Identifier: Apache-2.0
"""Jobs on Ray, an optional extra: on this machine, or on the cluster that RAY_ADDRESS names.

Each task starts the job's command line, exactly as the local launcher does. On a cluster the
folders must be on a file system that all nodes see.
"""

import importlib
import subprocess
from collections import deque
from pathlib import Path
from typing import Any

from spade_eval.errors import UserError
from spade_eval.jobs.job import Job, python_path, start, stop
from spade_eval.jobs.launch import Failure, Launch, Outcome, num_cpus


def run_on_ray(launch: Launch) -> Outcome:
    """Run all stages; `at_once` limits how many jobs Ray is given at a time."""
    ray = _ray()
    ray.init(runtime_env={"env_vars": {"PYTHONPATH": python_path()}}, log_to_driver=False)
    try:
        failures = [
            failure for stage in launch.stages for failure in _run_stage(ray, stage, launch)
        ]
    finally:
        ray.shutdown()
    return Outcome(tuple(failures))


def _ray() -> Any:
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise UserError(
            "--launcher ray: Ray is not installed; install it with `pip install ray`, or choose "
            "--launcher local"
        ) from error


def _run_stage(ray: Any, stage: tuple[Job, ...], launch: Launch) -> list[Failure]:
    cpus = max(1, num_cpus() // (launch.at_once or 1)) if launch.at_once else 1
    task = ray.remote(run_job).options(
        num_cpus=cpus, num_gpus=launch.processes if launch.gpus else 0, max_retries=0
    )
    waiting, failures = deque(stage), list[Failure]()
    running: dict[Any, Job] = {}
    try:
        while waiting or running:
            while waiting and (launch.at_once is None or len(running) < launch.at_once):
                job = waiting.popleft()
                running[task.remote(job, str(Path.cwd()), str(cpus))] = job
                launch.say(f"{job.title}: given to Ray")
            ended, _ = ray.wait(list(running), num_returns=1)
            for reference in ended:
                job = running.pop(reference)
                failure = _failure(ray, reference, job)
                failures += [failure] if failure else []
                launch.say(failure.text() if failure else f"{job.title}: done")
    finally:
        _cancel(ray, list(running))
    return failures


def run_job(job: Job, folder: str, threads: str) -> int:
    """Run the task itself, in a worker of Ray -> the job's exit code."""
    process = start(job, {"OMP_NUM_THREADS": threads}, Path(folder))
    try:
        return process.wait()
    except BaseException:  # Ray cancels a task by an interrupt
        stop([process])
        raise


def _failure(ray: Any, reference: Any, job: Job) -> Failure | None:
    try:
        code = ray.get(reference)
    except (ray.exceptions.RayError, subprocess.SubprocessError) as error:
        return Failure.of(job, f"its worker was lost ({type(error).__name__})")
    return Failure.of(job, f"exit code {code}") if code else None


def _cancel(ray: Any, references: list[Any]) -> None:
    """End what still runs, and wait until the tasks have ended their processes."""
    for reference in references:
        ray.cancel(reference, force=False)
    if references:
        ray.wait(references, num_returns=len(references), timeout=60)
