# SPDX-License-Identifier: Apache-2.0
"""Ray with a stand-in that has the part of its interface that is used, and with Ray itself."""

import importlib.util
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from shell_jobs import launch_of, shell_job

from spade_eval.errors import UserError
from spade_eval.jobs.ray import run_on_ray


class StandIn(types.ModuleType):
    """Runs every task at once, in this process."""

    def __init__(self) -> None:
        super().__init__("ray")
        self.exceptions = types.SimpleNamespace(RayError=RuntimeError)
        self.log: list[str] = []
        self.results: dict[int, Any] = {}
        self.most_waiting = 0

    def init(self, **_: Any) -> None:
        self.log.append("init")

    def shutdown(self) -> None:
        self.log.append("shutdown")

    def remote(self, function: Callable[..., Any]) -> Any:
        def call(*arguments: Any) -> int:
            place = len(self.results)
            try:
                self.results[place] = function(*arguments)
            except OSError as error:
                self.results[place] = error
            return place

        self.options: dict[str, Any] = {}

        def options(**given: Any) -> Any:
            self.options = given
            return types.SimpleNamespace(remote=call)

        return types.SimpleNamespace(options=options)

    def wait(self, references: list[int], **_: Any) -> tuple[list[int], list[int]]:
        self.most_waiting = max(self.most_waiting, len(references))
        return references[:1], references[1:]

    def get(self, reference: int) -> Any:
        if isinstance(self.results[reference], OSError):
            raise RuntimeError("worker died")
        return self.results[reference]

    def cancel(self, reference: int, force: bool) -> None:
        self.log.append(f"cancel {reference}")


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    module = StandIn()
    monkeypatch.setitem(sys.modules, "ray", module)
    return module


def test_without_ray_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match="pip install ray"):
        run_on_ray(launch_of(tmp_path))


def test_every_job_is_a_task(tmp_path: Path, stand_in: StandIn) -> None:
    said: list[str] = []
    first = [shell_job(tmp_path, "none", f"touch {tmp_path}/ready")]
    models = [
        shell_job(tmp_path, "good", f"[ -e {tmp_path}/ready ] && echo fine"),
        shell_job(tmp_path, "bad", "echo 'error: wrong'; exit 2"),
        shell_job(tmp_path, "other", "true"),
    ]
    outcome = run_on_ray(launch_of(tmp_path, first, models, said=said, at_once=2))
    (failure,) = outcome.failures
    assert (failure.job.model, failure.reason) == ("bad", "exit code 2")
    assert failure.lines == ("error: wrong",)
    assert (tmp_path / "logs" / "good.log").read_text() == "fine\n"
    assert stand_in.most_waiting == 2
    assert stand_in.options["num_gpus"] == 0
    assert stand_in.log == ["init", "shutdown"]
    assert "good, scenes, seed 0: done" in said


def test_a_lost_worker_is_a_failure(
    tmp_path: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no bash: starting the job raises
    outcome = run_on_ray(launch_of(tmp_path, [shell_job(tmp_path, "a", "true")]))
    assert outcome.failures[0].reason == "its worker was lost (RuntimeError)"
    assert stand_in.log[-1] == "shutdown"


def test_an_interrupt_cancels_what_runs(
    tmp_path: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter([KeyboardInterrupt])

    def wait(references: list[int], **_: Any) -> tuple[list[int], list[int]]:
        for error in calls:
            raise error
        return references, []

    monkeypatch.setattr(stand_in, "wait", wait)
    with pytest.raises(KeyboardInterrupt):
        run_on_ray(launch_of(tmp_path, [shell_job(tmp_path, "a", "true")]))
    assert stand_in.log == ["init", "cancel 0", "shutdown"]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
def test_ray_itself_runs_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))  # workers read the jobs' class
    jobs = [shell_job(tmp_path, name, f"echo {name}") for name in "abc"]
    jobs.append(shell_job(tmp_path, "bad", "exit 4"))
    outcome = run_on_ray(launch_of(tmp_path, jobs, at_once=2))
    assert [failure.job.model for failure in outcome.failures] == ["bad"]
    assert [(tmp_path / "logs" / f"{name}.log").read_text() for name in "abc"] == [
        "a\n", "b\n", "c\n",
    ]  # fmt: skip
