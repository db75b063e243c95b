# SPDX-License-Identifier: Apache-2.0
"""Slurm arrays with a stand-in for sbatch, which notes its arguments and runs the tasks."""

import os
import shlex
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from shell_jobs import launch_of, shell_job

from spade_eval.errors import UserError
from spade_eval.jobs.slurm import submit_to_slurm

STUB = """#!/bin/bash
# Notes one line of quoted arguments a call, runs every task of the array, prints an id.
printf '%q ' "$@" >> "$SBATCH_LOG"; echo >> "$SBATCH_LOG"
script="${@: -1}"; tasks=none
for word in "$@"; do
  case "$word" in
    --array=*) tasks="${word#--array=}"; tasks="${tasks%%%*}" ;;
    --chdir=*) cd "${word#--chdir=}" ;;
    --refuse=*) echo "sbatch: error: invalid ${word#--refuse=}" >&2; exit 1 ;;
  esac
done
if [ "$tasks" = none ]; then bash "$script"; else
  for task in $(seq ${tasks%-*} ${tasks#*-}); do SLURM_ARRAY_TASK_ID=$task bash "$script"; done
fi
echo "$((100 + $(wc -l < "$SBATCH_LOG")));cluster"
"""


@pytest.fixture
def sbatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its log; every call is a line of quoted words."""
    folder = tmp_path / "bin"
    folder.mkdir()
    stub = folder / "sbatch"
    stub.write_text(STUB)
    stub.chmod(stub.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SBATCH_LOG", str(tmp_path / "sbatch.log"))
    return tmp_path / "sbatch.log"


def calls(log: Path) -> list[list[str]]:
    return [shlex.split(line) for line in log.read_text().splitlines()]


def test_arrays_run_their_jobs_in_order_and_the_report_last(tmp_path: Path, sbatch: Path) -> None:
    order = tmp_path / "order"
    first = [shell_job(tmp_path, "none", f"echo none >> {order}")]
    models = [shell_job(tmp_path, name, f"echo {name} >> {order}; echo out") for name in "ab"]
    launch = replace(launch_of(tmp_path, first, models, at_once=3),
                     report=("bash", "-c", f"echo report >> {order}"))  # fmt: skip
    outcome = submit_to_slurm(launch)
    assert order.read_text().split() == ["none", "a", "b", "report"]
    assert (tmp_path / "logs" / "a.log").read_text() == "out\n"
    assert outcome.submitted == ("101;cluster", "102;cluster", "103;cluster")
    one, two, report = calls(sbatch)
    assert "--array=0-0%3" in one
    assert not any(word.startswith("--dependency") for word in one)
    assert "--array=0-1%3" in two
    assert "--dependency=afterany:101" in two
    assert "--dependency=afterany:102" in report
    assert not any(word.startswith("--array") for word in report)


def test_a_failing_task_does_not_stop_the_others(tmp_path: Path, sbatch: Path) -> None:
    jobs = [shell_job(tmp_path, "bad", "exit 3"), shell_job(tmp_path, "good", "echo fine")]
    submit_to_slurm(launch_of(tmp_path, jobs))
    assert (tmp_path / "logs" / "good.log").read_text() == "fine\n"
    assert (tmp_path / "reported").exists()


def test_names_and_paths_are_data(tmp_path: Path, sbatch: Path) -> None:
    folder = tmp_path / "a 'b' $(touch pwned) `touch pwned` %j \"c\""
    job = shell_job(folder, "name; touch pwned", "echo 'it $HOME works'")
    launch = launch_of(folder, [job], at_once=None)
    launch = replace(launch, report=("touch", str(folder / "reported")),
                     sbatch=("comment=two words; $(touch pwned)", "exclusive"))  # fmt: skip
    submit_to_slurm(launch)
    assert job.log.read_text() == "it $HOME works\n"
    assert (folder / "reported").exists()
    assert not list(tmp_path.rglob("pwned"))
    assert not Path("pwned").exists()
    for call in calls(sbatch):
        assert "--comment=two words; $(touch pwned)" in call
        assert "--exclusive" in call
    assert "--array=0-0" in calls(sbatch)[0]


def test_without_slurm_the_scripts_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="no sbatch on the PATH"):
        submit_to_slurm(launch_of(tmp_path, [shell_job(tmp_path, "a", "true")]))
    scripts = sorted(path.name for path in (tmp_path / "table" / "slurm").iterdir())
    assert scripts == ["report.sh", "stage1.sh", "submit.sh"]


@pytest.mark.parametrize("option", ["--partition=gpu", "Partition=gpu", "a b", "x=1\ny", "=1", ""])
def test_wrong_options_are_refused(tmp_path: Path, sbatch: Path, option: str) -> None:
    launch = replace(launch_of(tmp_path, [shell_job(tmp_path, "a", "true")]), sbatch=(option,))
    with pytest.raises(UserError, match="expected NAME=VALUE"):
        submit_to_slurm(launch)
    assert not sbatch.exists()


def test_what_sbatch_refuses_is_told(tmp_path: Path, sbatch: Path) -> None:
    launch = launch_of(tmp_path, [shell_job(tmp_path, "a", "true")])
    with pytest.raises(UserError, match="sbatch: error: invalid partition"):
        submit_to_slurm(replace(launch, sbatch=("refuse=partition",)))


def test_more_tasks_than_an_array_holds_are_refused(tmp_path: Path, sbatch: Path) -> None:
    job = shell_job(tmp_path, "a", "true")
    with pytest.raises(UserError, match="1001 jobs, expected at most 1000"):
        submit_to_slurm(launch_of(tmp_path, [job] * 1001))
