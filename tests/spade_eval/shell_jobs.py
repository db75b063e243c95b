# SPDX-License-Identifier: Apache-2.0
"""Jobs that train nothing: a line of shell, or the records of another run; launches of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spade_eval.jobs.job import REFERENCES, Job
from spade_eval.jobs.launch import Launch


@dataclass(frozen=True, kw_only=True)
class ShellJob(Job):
    """Like any job, but for its command."""

    script: str

    @property
    def command(self) -> tuple[str, ...]:
        return ("bash", "-c", self.script)


@dataclass(frozen=True, kw_only=True)
class ReplayedJob(Job):
    """Takes its records from another run folder; fails where that has none of them."""

    recorded: Path

    @property
    def command(self) -> tuple[str, ...]:
        mine = [f'"source": "{self.model}"']
        if self.model == REFERENCES:
            mine = ["-v", '"source_kind": "generator"']
        script = 'grep "${@:3}" "$1"/records.jsonl >> "$2"/records.jsonl'
        return ("bash", "-c", script, "replay", str(self.recorded), str(self.run_folder), *mine)


def shell_job(folder: Path, name: str, script: str) -> ShellJob:
    """A job whose log is `folder/logs/name.log`."""
    return ShellJob(dataset="scenes", model=name, seed=0, run_folder=folder, script=script)


def launch_of(
    folder: Path, *stages: Sequence[Job], said: list[str] | None = None, at_once: int | None = 1
) -> Launch:
    """What `run_study` would hand to a launcher."""
    lines = [] if said is None else said
    return Launch(
        title="table3",
        stages=tuple(map(tuple, stages)),
        report=("bash", "-c", f"touch {folder}/reported"),
        folder=folder / "table",
        at_once=at_once,
        say=lines.append,
    )
