# SPDX-License-Identifier: Apache-2.0
"""Jobs as Slurm arrays: one script a stage, one task a job, and a last job that writes the table.

`submit.sh` in the table's folder holds the very commands that are run here, so the same jobs can be
submitted again by hand. Each stage starts when all tasks of the one before have ended, however
they ended. The folders must be on a file system that all nodes see.
"""

import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from spade_eval.errors import UserError
from spade_eval.files import written_whole
from spade_eval.jobs.job import Job, python_path
from spade_eval.jobs.launch import Launch, Outcome

_MOST_TASKS = 1000  # Slurm's default MaxArraySize is 1001
_OPTION = re.compile(r"[a-z][a-z-]*(=[^\n\r\0]*)?")
# Time to save a checkpoint before a task's time limit; tasks are not started again by themselves.
_WARNING = "signal=B:TERM@120"


def submit_to_slurm(launch: Launch) -> Outcome:
    """Write the scripts, submit them, and return the ids of what was submitted."""
    for option in launch.sbatch:
        if not _OPTION.fullmatch(option):
            raise UserError(
                f"--sbatch {option!r}: expected NAME=VALUE or NAME as sbatch knows them without "
                "dashes, for example --sbatch partition=gpu --sbatch gpus=1"
            )
    if max(map(len, launch.stages), default=0) > _MOST_TASKS:
        raise UserError(
            f"--launcher slurm: {launch.num_jobs} jobs, expected at most {_MOST_TASKS} in one "
            "array: ask for fewer datasets or seeds at a time"
        )
    folder = launch.folder / "slurm"
    scripts = [_write(folder / f"stage{n}.sh", _array(jobs)) for n, jobs in _numbered(launch)]
    scripts.append(_write(folder / "report.sh", [f"exec {shlex.join(launch.report)}"]))
    submit = folder / "submit.sh"
    with written_whole(submit) as temporary:
        temporary.write_text(_submission(launch, scripts), encoding="utf-8")
    return Outcome(submitted=_run(submit))


def _numbered(launch: Launch) -> list[tuple[int, tuple[Job, ...]]]:
    return list(enumerate(launch.stages, 1))


def _array(jobs: Sequence[Job]) -> list[str]:
    """Shell lines that run the task's own job, with its output in the job's log."""
    cases = []
    for number, job in enumerate(jobs):
        log = shlex.quote(str(job.log))
        cases += [
            f"{number})  # {job.title}",
            f"  mkdir -p {shlex.quote(str(job.log.parent))}",
            f"  exec {shlex.join(job.command)} >{log} 2>&1 ;;",
        ]
    unknown = '*) echo "no job has the number $SLURM_ARRAY_TASK_ID" >&2; exit 2 ;;'
    return ['case "$SLURM_ARRAY_TASK_ID" in', *cases, unknown, "esac"]


def _write(path: Path, body: Sequence[str]) -> Path:
    lines = [
        "#!/bin/bash",
        f"cd {shlex.quote(str(Path.cwd()))} || exit 2",
        f"export PYTHONPATH={shlex.quote(python_path())}",
        *body,
    ]
    with written_whole(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _submission(launch: Launch, scripts: Sequence[Path]) -> str:
    """Return the sbatch commands: each prints its id, which the next one waits for."""
    lines = ["#!/bin/bash", "set -euo pipefail"]
    for place, script in enumerate(scripts):
        options = [
            "--parsable",
            f"--job-name={launch.title}-{script.stem}",
            # Patterns of Slurm in file names are not quoted by anything, so paths stay out of them.
            f"--chdir={script.parent.resolve()}",
            f"--{_WARNING}",
        ]
        if place < len(launch.stages):
            limit = f"%{launch.at_once}" if launch.at_once else ""
            options.append(f"--array=0-{len(launch.stages[place]) - 1}{limit}")
        options += [f"--{option}" for option in launch.sbatch]
        # The id is put in by the shell, everything else is quoted.
        after = [f'--dependency="afterany:${{id{place}%%;*}}"'] if place else []
        words = ["sbatch", *map(shlex.quote, options), *after, shlex.quote(str(script.resolve()))]
        lines += [f"id{place + 1}=$({' '.join(words)})", f'echo "$id{place + 1}"']
    return "\n".join(lines) + "\n"


def _run(submit: Path) -> tuple[str, ...]:
    if shutil.which("sbatch") is None:
        raise UserError(
            f"--launcher slurm: no sbatch on the PATH; the scripts are written: run {submit} where "
            "Slurm is, or choose --launcher local"
        )
    done = subprocess.run(["bash", str(submit)], capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["nothing was said"]
        raise UserError(
            f"--launcher slurm: sbatch refused {submit} ({said[-1]}); mend what it names with "
            "--sbatch NAME=VALUE, cancel what was submitted already with scancel "
            f"({' '.join(done.stdout.split()) or 'nothing'}), then repeat"
        )
    return tuple(done.stdout.split())
