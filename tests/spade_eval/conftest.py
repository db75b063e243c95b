# SPDX-License-Identifier: Apache-2.0
"""A four-image world that goes through the whole engine in seconds."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from few_scenes import few_scenes

from spade_eval import datasets
from spade_eval.config import RunConfig, budget_for
from spade_eval.engine import Benchmark
from spade_eval.rows import Request
from spade_eval.workplace import Workplace

STEPS = 2
TRAINED = ("spade", "concat", "pix2pixhdpp")
# Test folders are no packages; this makes `shell_jobs.py` importable.
sys.path.insert(0, str(Path(__file__).parent))


Make = Callable[..., Benchmark]


@pytest.fixture
def four_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    """`scenes` with four samples a split."""
    monkeypatch.setitem(datasets.DATASETS, "scenes", few_scenes(4))


def tiny_config(seed: int = 0) -> RunConfig:
    budget = budget_for("scenes", "smoke", steps=STEPS, batch_size=2, width=4 / 64, val_limit=4)
    return RunConfig(
        dataset="scenes", profile="in-domain", budget_name="smoke", budget=budget, seed=seed
    )


def _benchmark(folder: Path, name: str, seed: int) -> Benchmark:
    place = Workplace(
        run_folder=folder / name,
        data_root=folder / "data",
        weights_dir=folder / "weights",
        device=torch.device("cpu"),
    )
    return Benchmark(tiny_config(seed), place)


@pytest.fixture
def benchmark_in(four_scenes: None, tmp_path: Path) -> Make:
    """Makes a benchmark of four scenes in a folder below the test's."""
    return lambda name="run", seed=0: _benchmark(tmp_path, name, seed)


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a benchmark with `TRAINED` measured; only to be copied."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(datasets.DATASETS, "scenes", few_scenes(4))
        benchmark = _benchmark(tmp_path_factory.mktemp("trained"), "run", 0)
        benchmark.run(Request(TRAINED))
    return benchmark.place.run_folder


@pytest.fixture(scope="session")
def second_seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of `concat` with the next seed; only to be copied."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(datasets.DATASETS, "scenes", few_scenes(4))
        benchmark = _benchmark(tmp_path_factory.mktemp("second"), "run", 1)
        benchmark.run(Request(("concat",)))
    return benchmark.place.run_folder


@pytest.fixture
def trained_in(benchmark_in: Make, trained_run: Path) -> Make:
    """Makes a benchmark like `benchmark_in`, but with `TRAINED` measured already."""

    def make(name: str = "run") -> Benchmark:
        benchmark = benchmark_in(name)
        shutil.copytree(trained_run, benchmark.place.run_folder)
        return benchmark

    return make
