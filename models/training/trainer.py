# SPDX-License-Identifier: Apache-2.0
"""Trains any system: its updates in order, in micro batches, on one or many processes.

The trainer knows no loss. It sees to learning rates, precision, accumulation of gradients, their
average over processes, the moving average of the scored network, and the state of all of it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from spade_eval.models.inputs import Batch, Inputs
from spade_eval.models.systems.base import Optimizer, Settings, System, Update
from spade_eval.models.training.distributed import ALONE, World
from spade_eval.models.training.precision import (
    ComputeSettings,
    ScaledOptimizer,
    as_channels_last,
    autocast,
)
from spade_eval.models.training.schedule import RateSchedule
from spade_eval.models.training.sync_batch_norm import synchronise_batch_norm, with_local_batch_norm

Phase = Callable[[str], AbstractContextManager[object]]
"""Entered around "forward", "backward" and "optimizer": a clock, for example."""

_KINDS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


class Trainer:
    """A system with its optimizers; `step` takes all of its updates once.

    In a `world` of several processes each steps with its share of every batch; batch norm and
    gradients go over all of them.
    """

    def __init__(
        self,
        system: System,
        settings: Settings,
        schedule: RateSchedule,
        compute: ComputeSettings = ComputeSettings(),  # noqa: B008 (frozen)
        phase: Phase = nullcontext,
        world: World = ALONE,
    ) -> None:
        self.system, self.settings, self.schedule = system, settings, schedule
        self.compute, self.phase, self.world = compute, phase, world
        self.device = next(system.parameters()).device
        world.equalise([*system.parameters(), *system.buffers()])
        for network in system.children():
            if world.size > 1:
                synchronise_batch_norm(network, self.device)
            if compute.channels_last:
                as_channels_last(network)
            if compute.compile:
                network.compile()
        self.updates = {update.name: update for update in system.updates()}
        self.optimizers = {name: self._optimizer(update) for name, update in self.updates.items()}
        # Of which steps (how many are done after it) the gradients are measured; set by who looks.
        self.measures_gradients: Callable[[int], bool] = lambda _: False
        self.gradient_norms: dict[str, Tensor] = {}
        """The L2 norm of the last measured step's gradients, by update."""
        self.average: AveragedModel | None = None
        if settings.ema_decay is not None:
            self.average = AveragedModel(
                getattr(system, system.scored),
                multi_avg_fn=get_ema_multi_avg_fn(settings.ema_decay),
                # Else buffers (running statistics, spectral norm vectors) are copied.
                use_buffers=settings.ema_buffers,
            )
            if system.averages_first_weights:  # which its copy holds: count them as averaged
                self.average.n_averaged.fill_(1)

    def step(self, micro_batches: Sequence[Batch], step: int) -> dict[str, Tensor]:
        """Take every update of the system once; returns the detached, weighted terms of all.

        Gradients and terms are means over micro batches, which have equal numbers of images.
        """
        self.system.train()
        self.system.fine_tuning = self.schedule.is_second_part(step)
        terms: dict[str, Tensor] = {}
        for update in self.updates.values():
            terms |= self._update(update, micro_batches, step)
        if self.average is not None:
            self.average.update_parameters(getattr(self.system, self.system.scored))
        return terms

    def _update(
        self, update: Update, micro_batches: Sequence[Batch], step: int
    ) -> dict[str, Tensor]:
        optimizer = self.optimizers[update.name]
        self._set_rate(update.name, step)
        optimizer.zero_grad()
        parts = []
        with frozen_but(self.system, update.learns):
            for batch in micro_batches:
                with self.phase("forward"), autocast(self.compute.precision, self.device.type):
                    terms = update.terms(batch)
                with self.phase("backward"):
                    loss = torch.stack(list(terms.values())).sum()
                    optimizer.backward(loss / len(micro_batches))
                parts.append({name: term.detach() for name, term in terms.items()})
        with self.phase("optimizer"):
            learned = self._learned(update)
            self.world.average_gradients(learned)
            if self.measures_gradients(step + 1):
                self.gradient_norms[update.name] = optimizer.gradient_norm(learned)
            optimizer.step()
        return _means(update.name, parts)

    @torch.no_grad()
    def synthesized(
        self, inputs: Inputs, network: nn.Module | None = None, *, quick: bool = False
    ) -> Tensor:
        """Return float32 (N, 3, H, W) of the scored network, or a finished one; changes nothing.

        Evaluation mode leaves running statistics and spectral norm vectors as they are.
        """
        network = self.scored_network if network is None else network
        was_training = network.training
        network.eval()
        images = self.system.synthesized_by(network, inputs, quick=quick)
        network.train(was_training)
        return images

    @property
    def scored_network(self) -> nn.Module:
        """The network to evaluate: the average where one is kept, else the plain weights."""
        plain: nn.Module = getattr(self.system, self.system.scored)
        return plain if self.average is None else self.average.module

    def finished(self, batches: Iterable[Batch]) -> nn.Module:
        """Return the network to score or to save; see `System.finished`."""
        network = self.scored_network
        if self.world.size > 1:  # one process finishes it: norms over all of them would wait
            network = with_local_batch_norm(network)
        return self.system.finished(network, batches)

    def others_exported(self) -> dict[str, nn.Module]:
        """Return the networks to write besides the scored one, by name."""
        names = (name for name in self.system.exported if name != self.system.scored)
        return {name: getattr(self.system, name) for name in names}

    def state_dict(self) -> dict[str, Any]:
        """Return all that `step` depends on."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict[str, Any]:
        optimizers = {f"optimizer {name}": item for name, item in self.optimizers.items()}
        average = {} if self.average is None else {"average": self.average}
        return {**dict(self.system.named_children()), **optimizers, **average}

    def _learned(self, update: Update) -> list[nn.Parameter]:
        networks = [getattr(self.system, name) for name in update.learns]
        return [parameter for network in networks for parameter in network.parameters()]

    def _optimizer(self, update: Update) -> ScaledOptimizer:
        """Build an optimizer, whose learning rate is set anew in every step."""
        own = self.settings.optimizers[update.name]
        made = _KINDS[own.kind](
            self._learned(update), betas=own.betas, weight_decay=own.weight_decay
        )
        return ScaledOptimizer(made, self.compute.precision, self.device.type)

    def _set_rate(self, name: str, step: int) -> None:
        own: Optimizer = self.settings.optimizers[name]
        factor = self.schedule.factor(step, own.decay, own.halve_every)
        for group in self.optimizers[name].optimizer.param_groups:
            group["lr"] = own.rate * factor


def _means(update: str, micro_terms: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Terms averaged over micro batches, under the names of losses.jsonl."""
    return {
        f"{update}/{name}": torch.stack([terms[name] for terms in micro_terms]).mean()
        for name in micro_terms[0]
    }


@contextmanager
def frozen_but(system: nn.Module, learning: Sequence[str]) -> Iterator[None]:
    """Let gradients flow through the other networks, but compute none for their parameters."""
    frozen = [
        parameter
        for name, network in system.named_children()
        if name not in learning
        for parameter in network.parameters()
        if parameter.requires_grad
    ]
    for parameter in frozen:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(True)
