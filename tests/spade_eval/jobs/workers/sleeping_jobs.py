# SPDX-License-Identifier: Apache-2.0
"""Three jobs of a minute, two at a time: `sleeping_jobs.py FOLDER`. Each leaves its process id."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from shell_jobs import launch_of, shell_job

from spade_eval.jobs.local import run_here

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    jobs = [shell_job(folder, name, f"echo $$ > {folder}/{name}; sleep 60; true") for name in "abc"]
    run_here(launch_of(folder, jobs, at_once=2))
