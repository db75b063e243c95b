# SPDX-License-Identifier: Apache-2.0
"""What a run will take, said before it starts; with --estimate nothing else is done."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from spade_eval.api.settings import configured
from spade_eval.bench import estimate
from spade_eval.bench.estimate import Point, Rate
from spade_eval.cli import main
from spade_eval.cli.benchmark.estimate import is_told, tell_before
from spade_eval.config import budget_for
from spade_eval.engine import Benchmark
from spade_eval.models.training.distributed import ALONE
from spade_eval.training.generator import CHECKPOINT_NAME

SMALL = ["--size", "64", "--width", "0.0625", "--device", "cpu", "--batch-size", "4"]
KNOWN = Rate(points=(Point(images=4, fastest=36.0, slowest=72.0),), origin="a test")


@pytest.fixture
def _measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(estimate, "measured_rate", lambda *given, **others: KNOWN)


def run(*arguments: str) -> object:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code


@pytest.mark.usefixtures("_measured")
def test_train_says_hours_memory_and_disk_and_writes_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run("train", "--estimate", "--steps", "100", *SMALL) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "estimate for spade on scenes: 100 steps of 4 images at 64x64"
    assert lines[1:3] == ["  1 device: 1 to 2 h", "  from a test, of 4 images"]
    assert [line.split(":")[0] for line in lines[3:]] == ["  memory", "  disk"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("_measured")
def test_the_same_as_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--json", "train", "--estimate", "--steps", "100", *SMALL) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    (time,) = row["times"]
    assert (row["row"], row["steps"], time["low_hours"], time["high_hours"]) == ("spade", 100, 1, 2)
    assert 0 < row["network_bytes"] < row["disk_bytes"] < row["disk_peak_bytes"]
    assert row["memory_bytes"] > 0


def test_rates_of_another_machine(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Of a GPU, so numbers of GPUs are compared; a line of other steps is refused."""
    budget = budget_for("scenes", "default", size=(64, 64), width=0.0625, batch_size=4, steps=3)
    line = {
        "bench": "train", "model": "spade", "height": 64, "width": 64, "batch": 4,
        "fastest": 36.0, "slowest": 72.0, "budget": dataclasses.asdict(budget), "device": "cuda:0",
        "gpu": "Large GPU", "perceptual": "none",
    }  # fmt: skip
    shared = {**line, "processes": 2, "batch": 64, "fastest": 1.0, "slowest": 1.0}  # passed over
    (tmp_path / "rates.jsonl").write_text(f"{json.dumps(line)}\n{json.dumps(shared)}\n")
    flags = ["train", "--estimate", "--perceptual", "none", "--steps", "100", *SMALL, "--rates",
             str(tmp_path / "rates.jsonl")]  # fmt: skip
    assert run(*flags) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "  1 device: 1 to 2 h, 4 images each"
    assert lines[3] == "  4 devices: 0.25 to 0.5 h, 1 images each (in proportion)"
    assert "on Large GPU, of 4 images, without what devices exchange" in lines[4]
    assert run(*flags, "--model", "concat") == 2
    assert "no line of `bench train` there measured concat at 64x64" in capsys.readouterr().err


@pytest.mark.usefixtures("_measured")
def test_benchmark_adds_what_scoring_takes(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    flags = ["--model", "spade", "--steps", "100", "--limit", "40", *SMALL]
    assert run("benchmark", "--estimate", *flags) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("estimate for spade on scenes")
    assert any("estimate for scoring:" in line and "a row of 40 images" in line for line in lines)
    assert not any("in-domain segmenter (" in line for line in lines), "it ships"
    assert list(tmp_path.iterdir()) == []
    assert run("benchmark", "--estimate", "--model", "none", *SMALL) == 2
    assert "trains no model" in capsys.readouterr().err


def test_only_the_epochs_of_a_paper_are_told_unasked() -> None:
    assert is_told(configured("cocostuff", "paper", 0, None))
    assert not is_told(configured("cocostuff", "paper", 0, None, steps=5))
    assert not is_told(configured("cocostuff", "default", 0, None))


@pytest.mark.usefixtures("_measured")
def test_a_long_run_is_told_before_it_starts_until_it_is_trained(
    benchmark_in: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    suite: Benchmark = benchmark_in()
    suite.config = dataclasses.replace(
        suite.config,
        budget_name="paper",
        budget=dataclasses.replace(suite.config.budget, steps=None),
    )
    tell_before(suite, ["spade"], ALONE, scores=False)
    assert capsys.readouterr().out.startswith("estimate for spade on scenes: ")
    trained = suite.training_folder(suite.train_config("spade")) / CHECKPOINT_NAME
    trained.parent.mkdir(parents=True)
    trained.write_bytes(b"")
    tell_before(suite, ["spade"], ALONE, scores=False)
    assert capsys.readouterr().out == ""
