# SPDX-License-Identifier: Apache-2.0
"""Speed-up, efficiency and sameness from what was measured; and the command that measures it."""

import dataclasses
import json
import math
from collections.abc import Sequence
from typing import Any

import pytest
import typer.main

from spade_eval.bench.processes import (
    LOSSES_WITHIN,
    Measured,
    deviation,
    rows_of,
    shared_threads,
)
from spade_eval.cli import app, main
from spade_eval.cli.bench import processes
from spade_eval.cli.console.effects import require_effects

ONE = Measured(work="training", processes=1, threads=4, batch=8, images=40, seconds=10.0,
               numbers={"loss": 2.0, "none": None})  # fmt: skip


def test_efficiency_is_for_each_core_in_use() -> None:
    two = dataclasses.replace(ONE, processes=2, threads=2, seconds=8.0)
    # One thread of each leaves one of the four cores alone.
    three = dataclasses.replace(ONE, processes=3, threads=1, seconds=20.0)
    first, second, third = rows_of([ONE, two, three], cores=4, on_gpus=False)
    assert [row["used"] for row in (first, second, third)] == [4, 4, 3]
    assert (first["images_per_second"], first["speedup"], first["efficiency"]) == (4.0, 1.0, 1.0)
    assert (second["speedup"], second["efficiency"]) == (1.25, 1.25)
    assert third["efficiency"] == pytest.approx(0.5 * 4 / 3)


def test_efficiency_on_gpus_is_for_each_of_them() -> None:
    two = dataclasses.replace(ONE, processes=2, threads=2, seconds=6.25)
    _, row = rows_of([ONE, two], cores=4, on_gpus=True)
    assert (row["of"], row["used"], row["speedup"], row["efficiency"]) == ("GPUs", 2, 1.6, 0.8)


def test_the_median_of_repeats_counts_and_works_are_apart() -> None:
    repeats = [dataclasses.replace(ONE, seconds=seconds) for seconds in (10.0, 99.0, 20.0)]
    other = dataclasses.replace(ONE, work="scoring", seconds=5.0)
    row, scoring = rows_of([*repeats, other], cores=2, on_gpus=False)
    assert (row["repeats"], row["seconds"], row["fastest"], row["slowest"]) == (3, 20, 10, 99)
    assert (scoring["speedup"], scoring["efficiency"]) == (1, 1)


def test_other_results_are_told() -> None:
    def passed(numbers: dict[str, float | None] | None) -> bool | None:
        found = dataclasses.replace(ONE, processes=2, numbers=numbers)
        answer: bool | None = rows_of([ONE, found], cores=2, on_gpus=False)[1]["passed"]
        return answer

    assert passed({"loss": 2 * (1 + LOSSES_WITHIN / 2), "none": None})
    assert passed({"loss": 2 * (1 + LOSSES_WITHIN * 2), "none": None}) is False
    assert passed(None) is None
    assert deviation({"a": 1.0}, {"a": 1.0, "b": 0.0}) == math.inf
    assert deviation({"a": None}, {"a": 0.0}) == math.inf
    assert deviation({"a": 0.0}, {"a": 0.0}) == 0


def test_each_process_has_its_part_of_the_threads() -> None:
    assert [shared_threads(8, count) for count in (1, 2, 3, 16)] == [8, 4, 2, 1]


def has_flags(words: Sequence[str]) -> bool:
    """Whether the command line knows all of them; else an error."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("spade-eval", list(words))
    for word in words[:2]:
        command = command.get_command(context, word)
    context = command.make_context("command", list(words[2:]))
    require_effects(command.callback, context)
    return True


def test_the_command_starts_each_number_in_turn(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    starts: list[tuple[str, str, str, int]] = []

    def line_of(words: Sequence[str], threads: int) -> dict[str, Any]:
        assert has_flags(words)
        starts.append((words[1], words[3], words[-1], threads))
        numbers = {"numbers": {"mIoU": 0.5}, "first_step": {"loss": float(words[3])}}
        return {"batch": 4, "images": 8, "seconds": 2.0, **numbers}

    monkeypatch.setattr(processes, "_line_of", line_of)
    monkeypatch.setattr("spade_eval.jobs.launch.num_cpus", lambda: 4)
    with pytest.raises(SystemExit) as ended:
        main(["bench", "processes", "--processes", "1", "--processes", "2", "--batch-size", "4",
              "--images", "30", "--repeats", "2", "--device", "cpu"])  # fmt: skip
    assert not ended.value.code
    turn = [
        ("score", "1", "30", 4), ("score", "2", "30", 2),
        ("train", "1", "4", 4), ("train", "2", "4", 2),
        ("train", "1", "2", 4), ("train", "2", "4", 2),
    ]  # fmt: skip
    assert starts == 2 * turn
    title, *table, note, _, _, _, _, _, _ = (out := capsys.readouterr().out.splitlines())
    assert title.split()[:3] == ["work", "processes", "threads"]
    assert [line.split()[-1] for line in table] == ["same", "same", "same", "OTHER", "-", "-"]
    assert "the processes share 4 cores" in note
    rows = [json.loads(line) for line in out[-6:]]
    assert all((row["bench"], row["efficiency"]) == ("processes", 1) for row in rows)


def test_wrong_flags_and_failures_are_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refusing = ("bash", "-c", "echo 'a bar'; echo 'error: it is damaged'; exit 2")
    monkeypatch.setattr(processes, "PROGRAM", refusing)
    for flags, said in (
        (["--batch-size", "6"], "--batch-size 6 with 1, 2, 4 processes: expected a number that"),
        (["--model", "spad"], "no generator is called 'spad'"),
        (["--dataset", "scenery"], "scenery"),
        ([], "spade-eval bench score --gpus 1 --model=spade --dataset=scenes"),
        ([], "--images 160: it is damaged"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["bench", "processes", *flags, "--device", "cpu"])
        assert ended.value.code == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith("error: ")
        assert said in error
