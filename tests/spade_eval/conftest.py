# SPDX-License-Identifier: Apache-2.0
"""A four-image world that goes through the whole engine in seconds."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from spade_eval import datasets
from spade_eval.config import RunConfig, budget_for
from spade_eval.datasets.scenes import Scenes
from spade_eval.engine import Benchmark
from spade_eval.models.labels import Size
from spade_eval.workplace import Workplace

STEPS = 2
# Test folders are no packages; this makes `shell_jobs.py` importable.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def four_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    """`scenes` with four samples a split."""

    class FourScenes(Scenes):
        @classmethod
        def opened(cls, split: str, size: Size, data_root: Path) -> Scenes:
            return cls(split, size, length=4)

    monkeypatch.setitem(datasets.DATASETS, "scenes", FourScenes)


def tiny_config(seed: int = 0) -> RunConfig:
    budget = budget_for("scenes", "smoke", steps=STEPS, batch_size=2, width=4 / 64, val_limit=4)
    return RunConfig(
        dataset="scenes", profile="in-domain", budget_name="smoke", budget=budget, seed=seed
    )


@pytest.fixture
def benchmark_in(four_scenes: None, tmp_path: Path) -> Callable[..., Benchmark]:
    """Makes a benchmark of four scenes in a folder below the test's."""

    def make(name: str = "run", seed: int = 0) -> Benchmark:
        place = Workplace(
            run_folder=tmp_path / name,
            data_root=tmp_path / "data",
            weights_dir=tmp_path / "weights",
            device=torch.device("cpu"),
        )
        return Benchmark(tiny_config(seed), place)

    return make
