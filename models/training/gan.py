# SPDX-License-Identifier: Apache-2.0
"""One iteration of adversarial training: G against D, then D against the updated G.

SPADE, section 4 and Appendix A; the order of events follows the release: the discriminator's step
makes the synthesized images anew with the updated generator, on the same batch.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from models.losses.objective import Objective
from models.semantics import SemanticMap
from models.training.latent import Latent, LatentSource, noise
from models.training.schedule import LinearDecay


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

    `step` moves all of them once. `latent` is given for generators that take a z.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        objective: Objective,
        settings: OptimizerSettings,
        schedule: LinearDecay,
        latent: LatentSource | None = None,
    ) -> None:
        self.generator, self.discriminator = generator, discriminator
        self.objective, self.settings, self.schedule = objective, settings, schedule
        self.latent = latent
        self.encoder = None if latent is None else latent.encoder
        learned = [*generator.parameters(), *(self.encoder.parameters() if self.encoder else ())]
        self.generator_optimizer = torch.optim.Adam(
            learned, lr=settings.generator_rate, betas=settings.betas
        )
        self.discriminator_optimizer = torch.optim.Adam(
            discriminator.parameters(), lr=settings.discriminator_rate, betas=settings.betas
        )
        self.average: AveragedModel | None = None
        if settings.ema_decay is not None:
            # Buffers (running statistics, spectral norm vectors) are copied, not averaged.
            average = get_ema_multi_avg_fn(settings.ema_decay)
            self.average = AveragedModel(generator, multi_avg_fn=average)

    def step(self, batch: TrainingBatch, step: int) -> dict[str, Tensor]:
        """Update G, then D; returns the detached, weighted terms of both objectives."""
        self.generator.train()
        self.discriminator.train()
        if self.encoder is not None:
            self.encoder.train()
        settings, schedule = self.settings, self.schedule
        schedule.apply(self.generator_optimizer, settings.generator_rate, step)
        schedule.apply(self.discriminator_optimizer, settings.discriminator_rate, step)
        terms = self._generator_step(batch, step) | self._discriminator_step(batch, step)
        if self.average is not None:
            self.average.update_parameters(self.generator)
        return {name: term.detach() for name, term in terms.items()}

    def _generator_step(self, batch: TrainingBatch, step: int) -> dict[str, Tensor]:
        self.generator_optimizer.zero_grad(set_to_none=True)
        fake, latent = self._synthesize(batch, step, "generator")
        mu, logvar = (None, None) if latent is None else (latent.mu, latent.logvar)
        with _frozen(self.discriminator):
            terms = self.objective.generator_terms(
                self.discriminator, batch.semantics, fake, batch.photos, mu, logvar
            )
            torch.stack(list(terms.values())).sum().backward()
        self.generator_optimizer.step()
        return {f"G/{name}": term for name, term in terms.items()}

    def _discriminator_step(self, batch: TrainingBatch, step: int) -> dict[str, Tensor]:
        self.discriminator_optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            fake, _ = self._synthesize(batch, step, "discriminator")
        terms = self.objective.discriminator_terms(
            self.discriminator, batch.semantics, fake, batch.photos
        )
        torch.stack(list(terms.values())).sum().backward()
        self.discriminator_optimizer.step()
        return {f"D/{name}": term for name, term in terms.items()}

    def _synthesize(
        self, batch: TrainingBatch, step: int, phase: str
    ) -> tuple[Tensor, Latent | None]:
        if self.latent is None:
            return self.generator(batch.semantics), None
        latent = self.latent(batch.photos, step, phase)
        return self.generator(batch.semantics, latent.z), latent

    @torch.no_grad()
    def preview(self, semantics: SemanticMap) -> Tensor:
        """(N, 3, H, W) of the scored generator in evaluation mode; changes nothing.

        Evaluation mode leaves running statistics and spectral norm vectors as they are.
        """
        generator = self.scored_generator
        was_training = generator.training
        generator.eval()
        if self.latent is None:
            images: Tensor = generator(semantics)
        else:
            shape = (semantics.batch_size, self.latent.z_dim)
            images = generator(
                semantics, noise(self.latent.seed, 0, "preview", shape).to(semantics.device)
            )
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

    def _parts(self) -> dict[str, Any]:
        parts = {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "generator_optimizer": self.generator_optimizer,
            "discriminator_optimizer": self.discriminator_optimizer,
        }
        optional = {"average": self.average, "encoder": self.encoder}
        return parts | {name: part for name, part in optional.items() if part is not None}


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """Gradients flow through the network but none are computed for its parameters."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)
