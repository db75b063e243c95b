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

from spade_eval.batches import layout_of
from spade_eval.datasets.scenes import Scenes
from spade_eval.engine import Benchmark
from spade_eval.models.training.gan import GANTraining
from spade_eval.training.generator import batches_at
from spade_eval.training.memory_estimate import estimate_memory
from spade_eval.training.setup import build_training

Make = Callable[..., Benchmark]


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


def standing_tensors(training: GANTraining) -> list[torch.Tensor]:
    """Weights, buffers and moments; the gradients of the discriminator's last step are let go."""
    training.discriminator_optimizer.zero_grad()
    training.generator_optimizer.zero_grad()
    found = []
    for part in (training.generator, training.discriminator, training.encoder):
        found += [] if part is None else [*part.parameters(), *part.buffers()]
    for optimizer in (training.generator_optimizer, training.discriminator_optimizer):
        for state in optimizer.optimizer.state.values():
            found += [value for value in state.values() if isinstance(value, torch.Tensor)]
    return found


@pytest.mark.parametrize("model", ["spade", "pix2pixhd", "spade_vae"])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_the_estimate_is_near_what_a_step_holds(
    benchmark_in: Make, tmp_path: Path, model: str, precision: str
) -> None:
    config = dataclasses.replace(
        benchmark_in().train_config(model), precision=precision, batch_size=4
    )
    dataset, cpu = Scenes("train", (64, 64), length=8), torch.device("cpu")
    training = build_training(config, layout_of(dataset).num_labels, cpu, tmp_path)
    training.step(batches_at(config, dataset, cpu, 0), 0)  # makes gradients and moments
    batches = batches_at(config, dataset, cpu, 1)
    estimate = estimate_memory(training, config.size, 4)
    with LiveTensors(standing_tensors(training)) as live:
        training.step(batches, 1)
    # All gradients are made anew in a step. Temporaries are not part of the estimate.
    measured = estimate.weights + estimate.optimizers + live.peak
    assert 0.75 < estimate.total / measured < 1.25


def test_the_estimate_leaves_networks_and_random_state_alone(
    benchmark_in: Make, tmp_path: Path
) -> None:
    config = benchmark_in().train_config("spade_vae")
    training = build_training(config, 18, torch.device("cpu"), tmp_path)
    before = {name: p.clone() for name, p in training.generator.state_dict().items()}
    random = torch.get_rng_state()
    small, large = (estimate_memory(training, config.size, images) for images in (2, 4))
    assert torch.equal(torch.get_rng_state(), random)
    after = training.generator.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert all(p.requires_grad for p in training.discriminator.parameters())
    assert small.weights == large.weights
    # Activations grow with the batch, but for the effective weights of spectral norm.
    assert 1.5 < large.activations / small.activations <= 2


def test_every_part_is_stated(benchmark_in: Make, tmp_path: Path) -> None:
    config = benchmark_in().train_config("spade")
    training = build_training(config, 18, torch.device("cpu"), tmp_path)
    estimate = estimate_memory(training, config.size, 2)
    parameters = sum(
        4 * p.numel()
        for network in (training.generator, training.discriminator)
        for p in network.parameters()
    )
    assert (estimate.gradients, estimate.optimizers) == (parameters, 2 * parameters)
    assert estimate.weights >= parameters
    assert "counted, not measured" in str(estimate)
