# SPDX-License-Identifier: Apache-2.0
"""Who runs jobs: this machine, Slurm or Ray. All of them run the same command lines."""

from collections.abc import Callable

from spade_eval.jobs.launch import Launch, Outcome
from spade_eval.jobs.local import run_here
from spade_eval.jobs.ray import run_on_ray
from spade_eval.jobs.slurm import submit_to_slurm

LAUNCHERS: dict[str, Callable[[Launch], Outcome]] = {
    "local": run_here,
    "slurm": submit_to_slurm,
    "ray": run_on_ray,
}
