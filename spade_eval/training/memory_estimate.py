# SPDX-License-Identifier: Apache-2.0
"""How much memory a training step needs, counted before the first one.

Weights, gradients and Adam's two moments follow from the networks. The tensors that autograd keeps
for the backward pass are counted in a forward pass of each update on tensors without content
(torch's FakeTensorMode), at the run's image size, batch and precision. Not counted: temporaries and
the workspaces of convolutions; and compilation, which keeps less.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from spade_eval.config import TrainConfig
from spade_eval.models.fast.accelerate import accelerate
from spade_eval.models.inputs import Batch, Noise
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.systems.base import Data, System, Update
from spade_eval.models.systems.presets import preset_of
from spade_eval.models.training.precision import autocast
from spade_eval.models.training.trainer import frozen_but
from spade_eval.training import perceptual

_MIB = 2**20
ADAM_MOMENTS = 2


@dataclass(frozen=True, kw_only=True)
class MemoryEstimate:
    """In bytes, at the moment when the backward pass of the largest update starts."""

    weights: int  # of all networks: the average's and the frozen ones too, with buffers
    gradients: int
    optimizers: int
    activations: int  # kept for the backward pass of whichever update keeps most

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimizers + self.activations

    def __str__(self) -> str:
        return (
            f"about {self.total / _MIB:,.0f} MiB of tensors a step (weights "
            f"{self.weights / _MIB:,.0f}, gradients {self.gradients / _MIB:,.0f}, optimizers "
            f"{self.optimizers / _MIB:,.0f}, activations {self.activations / _MIB:,.0f}; "
            "counted, not measured, without temporaries and workspaces)"
        )


def estimate_memory(config: TrainConfig, data: Data, images: int) -> MemoryEstimate:
    """Count what a step needs with `images` in each micro batch; no memory is taken for it."""
    with step_without_content(config, data, images) as (system, batch):
        with autocast(config.precision, "cpu"):
            activations = max(_kept_by(system, update, batch) for update in system.updates())
        kept = [system.state_dict(), *(measure.state_dict() for measure in system.measures)]
        if config.ema_decay is not None:
            kept.append(getattr(system, system.scored).state_dict())
        parameters = num_bytes(system.parameters())
        return MemoryEstimate(
            weights=sum(num_bytes(tensors.values()) for tensors in kept),
            gradients=parameters,
            optimizers=ADAM_MOMENTS * parameters,
            activations=activations,
        )


@contextmanager
def step_without_content(
    config: TrainConfig, data: Data, images: int
) -> Iterator[tuple[System, Batch]]:
    """Yield the networks of a training and a batch of so many images, and count inside."""
    # Constructors draw first weights; here they must not move the global random state.
    with torch.random.fork_rng(devices=[]), FakeTensorMode(allow_non_fake_inputs=True):
        system = without_content(config, data)
        batch = Batch(
            SemanticMap.from_tensor(
                torch.empty(images, data.num_labels, *data.size),
                lambda: torch.empty(images, 2, *data.size),
            ),
            torch.empty(images, 3, *data.size),
            Noise.of_step(0, 0, 0, images),
        )
        yield system, batch


def without_content(config: TrainConfig, data: Data) -> System:
    """Build the configuration's system in the mode that is on."""
    preset = preset_of(config.model)
    measure = perceptual.without_content(config.perceptual, preset.system)
    system = preset.system.build(preset, data, config.method, width=config.width, measure=measure)
    return accelerate(system).train()  # the forms that will train, which keep less


def _kept_by(system: System, update: Update, batch: Batch) -> int:
    """Bytes that autograd keeps after an update's forward pass, weights aside."""
    known = {_storage(tensor) for tensor in system.state_dict().values()}
    kept: dict[int, int] = {}  # each storage once

    def keep(tensor: Tensor) -> Tensor:
        if _storage(tensor) not in known:
            kept[_storage(tensor)] = tensor.untyped_storage().nbytes()
        return tensor

    with frozen_but(system, update.learns), saved_tensors_hooks(keep, lambda tensor: tensor):
        terms = update.terms(batch)  # holds the graph, so that no storage's place is taken
    del terms
    return sum(kept.values())


def num_bytes(tensors: Iterable[Tensor]) -> int:
    """Return what tensors hold, each counted."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata
