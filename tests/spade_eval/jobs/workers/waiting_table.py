# SPDX-License-Identifier: Apache-2.0
"""`spade-eval` with jobs that wait: `waiting_table.py RECORDED ARGUMENTS`.

Real and oracle are replayed from the run folder RECORDED; a model's job waits to be ended.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from few_scenes import few_scenes
from shell_jobs import ReplayedJob, ShellJob

from spade_eval import datasets
from spade_eval.cli import main
from spade_eval.jobs import study
from spade_eval.jobs.job import REFERENCES, Job


def job(**given: object) -> Job:
    if given["model"] == REFERENCES:
        return ReplayedJob(recorded=Path(sys.argv[1]), **given)  # type: ignore[arg-type]
    script = f"echo waits; sleep 600; touch {given['run_folder']}/done"
    return ShellJob(script=script, **given)  # type: ignore[arg-type]


if __name__ == "__main__":
    study.Job = job  # type: ignore[assignment,misc]
    datasets.DATASETS["scenes"] = few_scenes(4)
    main(sys.argv[2:])
