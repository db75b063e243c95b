# SPDX-License-Identifier: Apache-2.0
"""The parts of a step add up, and the command prints them."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from spade_eval.bench.processes import LOSSES_WITHIN, deviation
from spade_eval.bench.train import MAX_LOADING_SHARE, PHASES, time_training
from spade_eval.cli import main
from spade_eval.datasets.scenes import Scenes
from spade_eval.engine import Benchmark
from spade_eval.training.generator import with_store

Make = Callable[..., Benchmark]


def test_phases_and_rest_are_the_whole(benchmark_in: Make, tmp_path: Path) -> None:
    config = dataclasses.replace(benchmark_in().train_config("spade"), steps=4)
    split = with_store(Scenes("train", (64, 64), length=8), tmp_path)
    row = time_training(config, split, torch.device("cpu"), tmp_path, warm_up=1)
    assert (row["steps"], row["images"], row["warm_up"]) == (3, 3 * config.batch_size, 1)
    assert 0 < row["fastest"] < row["step_seconds"] < row["slowest"]
    # Three steps are the fastest, the one of the median and the slowest.
    assert row["fastest"] + row["step_seconds"] + row["slowest"] == pytest.approx(row["seconds"])
    phases = row["phases"]
    assert tuple(phases) == PHASES
    assert all(seconds > 0 for seconds in phases.values())
    assert 0.8 * row["seconds"] < sum(phases.values()) <= row["seconds"]
    networks = row["networks"]
    assert set(networks) == {"generator", "discriminator"}
    assert all(seconds > 0 for seconds in networks.values())
    assert sum(networks.values()) < phases["forward"]
    assert row["preparation_seconds"] > 0
    assert phases["data loading"] <= MAX_LOADING_SHARE * row["seconds"]


def test_a_warm_up_of_all_steps_is_refused(benchmark_in: Make, tmp_path: Path) -> None:
    config = benchmark_in().train_config("spade")
    with pytest.raises(ValueError, match="expected more than the 2 of the warm-up"):
        time_training(config, Scenes("train", (64, 64), length=4), torch.device("cpu"), tmp_path)


def test_the_command_prints_a_table_and_json(
    four_scenes: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", "train", "--budget", "smoke", "--width", "0.0625", "--batch-size", "2",
              "--steps", "1", "--warm-up", "1", "--device", "cpu", "--precision", "bf16",
              "--weights-dir", str(tmp_path)])  # fmt: skip
    assert not ended.value.code
    *table, line = capsys.readouterr().out.splitlines()
    text = "\n".join(table)
    parts = ("data loading", "forward generator", "forward discriminator", "losses", "backward",
             "optimizer", "rest")  # fmt: skip
    for said in ("steps/s", "images/s", "the median", *parts, "peak memory", "estimate: about"):
        assert said in text
    summary = json.loads(line)
    assert summary["bench"] == "train"
    assert summary["budget"]["precision"] == "bf16"
    assert set(summary["phases"]) == set(PHASES)
    assert (summary["height"], summary["width"], summary["batch"]) == (64, 64, 2)
    assert set(summary["estimate"]) == {"weights", "gradients", "optimizers", "activations"}
    assert summary["fastest"] == summary["step_seconds"] == summary["slowest"]  # of one step


@pytest.mark.slow
def test_two_processes_take_the_first_step_of_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["bench", "train", "--budget", "smoke", "--width", "0.0625", "--batch-size", "4",
               "--steps", "1", "--warm-up", "1", "--device", "cpu", "--perceptual", "none",
               "--weights-dir", str(tmp_path)]  # fmt: skip
    with pytest.raises(SystemExit):
        main(command)
    alone = json.loads(capsys.readouterr().out.splitlines()[-1])
    run = subprocess.run(
        [sys.executable, "-m", "spade_eval", *command, "--gpus", "2"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    assert "in 2 processes" in run.stdout
    both = json.loads(run.stdout.splitlines()[-1])
    assert (alone["processes"], both["processes"], both["images"]) == (1, 2, 4)
    assert (alone["traffic"], set(both["traffic"]["gradients"])) == (None, {"G", "D"})
    assert set(both["first_step"]) >= {"G gradient", "D gradient"}
    assert deviation(both["first_step"], alone["first_step"]) <= LOSSES_WITHIN
