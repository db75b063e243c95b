# SPDX-License-Identifier: Apache-2.0
"""The memory estimate beside the tensors that are really alive in a step."""

import dataclasses
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from spade_eval.datasets.scenes import Scenes
from spade_eval.engine import Benchmark
from spade_eval.models.systems.base import Data
from spade_eval.models.training.trainer import Trainer
from spade_eval.training.generator import batches_at
from spade_eval.training.memory_estimate import estimate_memory
from spade_eval.training.setup import build_training, data_of

Make = Callable[..., Benchmark]
DATA = Data(num_labels=18, size=(64, 64))


class LiveTensors(TorchDispatchMode):
    """Adds up the storages that operations make, until nobody holds them; `standing` is known."""

    def __init__(self, standing: list[torch.Tensor]) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.known = {tensor.untyped_storage()._cdata for tensor in standing}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for item in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(item, torch.Tensor):
                self._count(item.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self.known:
            return
        self.known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._free, key, size)

    def _free(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.now -= size


def standing_tensors(training: Trainer) -> list[torch.Tensor]:
    """Weights, buffers and moments; the gradients of the discriminator's last step are let go."""
    standing = [*training.system.parameters(), *training.system.buffers()]
    for optimizer in training.optimizers.values():
        optimizer.zero_grad()
        for state in optimizer.optimizer.state.values():
            standing += [value for value in state.values() if isinstance(value, torch.Tensor)]
    return standing


@pytest.mark.parametrize("model", ["spade", "pix2pixhd", "spade_vae"])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_the_estimate_is_near_what_a_step_holds(
    benchmark_in: Make, tmp_path: Path, model: str, precision: str
) -> None:
    config = dataclasses.replace(
        benchmark_in().train_config(model), precision=precision, batch_size=4
    )
    dataset, cpu = Scenes("train", (64, 64), length=8), torch.device("cpu")
    data = data_of(config, dataset)
    training = build_training(config, data, cpu, tmp_path)
    training.step(batches_at(config, dataset, cpu, 0), 0)  # makes gradients and moments
    batches = batches_at(config, dataset, cpu, 1)
    estimate = estimate_memory(config, data, 4)
    with LiveTensors(standing_tensors(training)) as live:
        training.step(batches, 1)
    # All gradients are made anew in a step. Temporaries are not part of the estimate.
    measured = estimate.weights + estimate.optimizers + live.peak
    assert 0.75 < estimate.total / measured < 1.25


def test_the_estimate_leaves_random_state_alone_and_grows_with_the_batch(
    benchmark_in: Make,
) -> None:
    config = benchmark_in().train_config("spade_vae")
    random = torch.get_rng_state()
    small, large = (estimate_memory(config, DATA, images) for images in (2, 4))
    assert torch.equal(torch.get_rng_state(), random)
    assert small.weights == large.weights
    # Activations grow with the batch, but for the effective weights of spectral norm.
    assert 1.5 < large.activations / small.activations <= 2


def test_every_part_is_stated(benchmark_in: Make, tmp_path: Path) -> None:
    config = benchmark_in().train_config("spade")
    training = build_training(config, DATA, torch.device("cpu"), tmp_path)
    estimate = estimate_memory(config, DATA, 2)
    parameters = sum(4 * p.numel() for p in training.system.parameters())
    assert (estimate.gradients, estimate.optimizers) == (parameters, 2 * parameters)
    assert estimate.weights >= parameters
    assert "counted, not measured" in str(estimate)


@pytest.mark.parametrize("with_them", ["average", "VGG-19"])
def test_what_else_stands_in_memory_is_counted(benchmark_in: Make, with_them: str) -> None:
    config = benchmark_in().train_config("spade")
    changes = {"ema_decay": 0.9} if with_them == "average" else {"perceptual": "vgg19"}
    plain, more = (
        estimate_memory(dataclasses.replace(config, **changed), DATA, 2)
        for changed in ({}, changes)
    )
    assert more.weights > plain.weights
    assert more.gradients == plain.gradients
