# SPDX-License-Identifier: Apache-2.0
"""One iteration of adversarial training: G against D, then D against the updated G.

SPADE, section 4 and Appendix A; the order of events follows the release: the discriminator's step
makes the synthesized images anew with the updated generator, on the same batch. With gradient
accumulation each half of the step goes over all micro batches before its optimizer moves.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from spade_eval.models.inputs import Latent, LatentSource, noise
from spade_eval.models.losses.objective import Objective
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.training.distributed import ALONE, World, reduced
from spade_eval.models.training.precision import (
    ComputeSettings,
    ScaledOptimizer,
    as_channels_last,
    autocast,
)
from spade_eval.models.training.schedule import LinearDecay
from spade_eval.models.training.sync_batch_norm import synchronise_batch_norm

Phase = Callable[[str], AbstractContextManager[object]]
"""Entered around "forward", "backward" and "optimizer": a clock, for example."""


@dataclass(frozen=True)
class TrainingBatch:
    """Label maps of a batch and the photos that belong to them."""

    semantics: SemanticMap
    photos: Tensor  # (N, 3, H, W) in [-1, 1]


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """Adam for both networks; TTUR is two learning rates (SPADE: 1e-4 for G, 4e-4 for D)."""

    generator_rate: float = 1e-4
    discriminator_rate: float = 4e-4
    betas: tuple[float, float] = (0.0, 0.9)
    ema_decay: float | None = None  # of the generator's weights; None keeps no average


class GANTraining:
    """A generator (with its encoder), its discriminator and their optimizers.

    `step` moves all of them once. `latent` is given for generators that take a z. `generator` and
    `discriminator` are the networks that are saved; steps call them through `_generate` and
    `_discriminate`, which may be wrapped (compiled, for one).

    In a `world` of several processes each steps with its share of every batch; batch norm and
    gradients go over all of them. Only the network that is being updated is called through its
    parallel form, so each backward meets every parameter of that form.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        objective: Objective,
        settings: OptimizerSettings,
        schedule: LinearDecay,
        latent: LatentSource | None = None,
        compute: ComputeSettings = ComputeSettings(),  # noqa: B008 (frozen)
        phase: Phase = nullcontext,
        world: World = ALONE,
    ) -> None:
        self.generator, self.discriminator = generator, discriminator
        self.objective, self.settings, self.schedule = objective, settings, schedule
        self.latent, self.compute, self.phase = latent, compute, phase
        self.encoder = None if latent is None else latent.encoder
        self.device = next(generator.parameters()).device
        if world.size > 1:
            for network in self._networks():
                synchronise_batch_norm(network, self.device)
        if compute.channels_last:
            for network in self._networks():
                as_channels_last(network)
        self._generate, self._discriminate = generator, discriminator
        if compute.compile:
            self._generate = cast(nn.Module, torch.compile(generator))
            self._discriminate = cast(nn.Module, torch.compile(discriminator))
        self._parallel_generate = world.parallel(self._generate)
        self._parallel_discriminate = world.parallel(self._discriminate)
        self._parallel_latent = latent
        if latent is not None and latent.encoder is not None:
            self._parallel_latent = replace(latent, encoder=world.parallel(latent.encoder))
        learned = [*generator.parameters(), *(self.encoder.parameters() if self.encoder else ())]
        self.generator_optimizer = self._adam(learned)
        self.discriminator_optimizer = self._adam([*discriminator.parameters()])
        self.average: AveragedModel | None = None
        if settings.ema_decay is not None:
            # Buffers (running statistics, spectral norm vectors) are copied, not averaged.
            average = get_ema_multi_avg_fn(settings.ema_decay)
            self.average = AveragedModel(generator, multi_avg_fn=average)

    def _adam(self, parameters: list[nn.Parameter]) -> ScaledOptimizer:
        """Its learning rate is set anew in every step."""
        adam = torch.optim.Adam(parameters, betas=self.settings.betas)
        return ScaledOptimizer(adam, self.compute.precision, self.device.type)

    def step(self, micro_batches: Sequence[TrainingBatch], step: int) -> dict[str, Tensor]:
        """Update G, then D; returns the detached, weighted terms of both objectives.

        Gradients and terms are means over micro batches, which have equal numbers of images.
        """
        for network in self._networks():
            network.train()
        settings, schedule = self.settings, self.schedule
        schedule.apply(self.generator_optimizer.optimizer, settings.generator_rate, step)
        schedule.apply(self.discriminator_optimizer.optimizer, settings.discriminator_rate, step)
        terms = self._generator_step(micro_batches, step)
        terms |= self._discriminator_step(micro_batches, step)
        if self.average is not None:
            self.average.update_parameters(self.generator)
        return terms

    def _generator_step(
        self, micro_batches: Sequence[TrainingBatch], step: int
    ) -> dict[str, Tensor]:
        self.generator_optimizer.zero_grad()
        found, count = [], len(micro_batches)
        updated = [self._parallel_generate]
        if self._parallel_latent is not None and self._parallel_latent.encoder is not None:
            updated.append(self._parallel_latent.encoder)
        with _frozen(self.discriminator):
            for micro, batch in enumerate(micro_batches):
                with reduced(updated, now=micro + 1 == count):
                    with self.phase("forward"), autocast(self.compute.precision, self.device.type):
                        fake, latent = self._synthesize(batch, step, micro, "generator")
                        mu, logvar = (None, None) if latent is None else (latent.mu, latent.logvar)
                        terms = self.objective.generator_terms(
                            self._discriminate, batch.semantics, fake, batch.photos, mu, logvar
                        )
                    found.append(self._backward(self.generator_optimizer, terms, count))
        with self.phase("optimizer"):
            self.generator_optimizer.step()
        return _means("G", found)

    def _discriminator_step(
        self, micro_batches: Sequence[TrainingBatch], step: int
    ) -> dict[str, Tensor]:
        self.discriminator_optimizer.zero_grad()
        found, count = [], len(micro_batches)
        for micro, batch in enumerate(micro_batches):
            with reduced([self._parallel_discriminate], now=micro + 1 == count):
                with self.phase("forward"), autocast(self.compute.precision, self.device.type):
                    with torch.no_grad():
                        fake, _ = self._synthesize(batch, step, micro, "discriminator")
                    terms = self.objective.discriminator_terms(
                        self._parallel_discriminate, batch.semantics, fake, batch.photos
                    )
                found.append(self._backward(self.discriminator_optimizer, terms, count))
        with self.phase("optimizer"):
            self.discriminator_optimizer.step()
        return _means("D", found)

    def _backward(
        self, optimizer: ScaledOptimizer, terms: dict[str, Tensor], num_micro_batches: int
    ) -> dict[str, Tensor]:
        with self.phase("backward"):
            optimizer.backward(torch.stack(list(terms.values())).sum() / num_micro_batches)
        return {name: term.detach() for name, term in terms.items()}

    def _synthesize(
        self, batch: TrainingBatch, step: int, micro: int, phase: str
    ) -> tuple[Tensor, Latent | None]:
        """Images (N, 3, H, W) in float32 and in [-1, 1], and the latent they were made from."""
        generate, source = self._generate, self.latent
        if phase == "generator":
            generate, source = self._parallel_generate, self._parallel_latent
        if source is None:
            return generate(batch.semantics).float(), None
        latent = source(batch.photos, step, micro, phase)
        return generate(batch.semantics, latent.z).float(), latent

    @torch.no_grad()
    def preview(self, semantics: SemanticMap, z: Tensor | None = None) -> Tensor:
        """(N, 3, H, W) of the scored generator in evaluation mode and float32; changes nothing.

        Evaluation mode leaves running statistics and spectral norm vectors as they are. Where the
        generator takes a z (N, z_dim) and none is given, it is drawn from N(0, 1), always the same.
        """
        generator = self.scored_generator
        was_training = generator.training
        generator.eval()
        if self.latent is None:
            images: Tensor = generator(semantics)
        else:
            shape = (semantics.batch_size, self.latent.z_dim)
            drawn = noise(self.latent.seed, 0, 0, "preview", shape) if z is None else z
            images = generator(semantics, drawn.to(semantics.device))
        generator.train(was_training)
        return images

    @property
    def scored_generator(self) -> nn.Module:
        """The network to evaluate: the average where one is kept, else the plain weights."""
        return self.generator if self.average is None else self.average.module

    def state_dict(self) -> dict[str, Any]:
        """All that `step` depends on."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Inverse of `state_dict`."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _networks(self) -> list[nn.Module]:
        encoder = [] if self.encoder is None else [self.encoder]
        return [self.generator, self.discriminator, *encoder]

    def _parts(self) -> dict[str, Any]:
        parts = {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "generator_optimizer": self.generator_optimizer,
            "discriminator_optimizer": self.discriminator_optimizer,
        }
        optional = {"average": self.average, "encoder": self.encoder}
        return parts | {name: part for name, part in optional.items() if part is not None}


def _means(network: str, micro_terms: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Terms averaged over micro batches, under the names of losses.jsonl."""
    return {
        f"{network}/{name}": torch.stack([terms[name] for terms in micro_terms]).mean()
        for name in micro_terms[0]
    }


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """Gradients flow through the network but none are computed for its parameters."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)
