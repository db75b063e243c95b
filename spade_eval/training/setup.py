# SPDX-License-Identifier: Apache-2.0
"""From a `TrainConfig` to networks, objective and optimizers; and from a budget to its schedule."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from spade_eval.config import Budget, TrainConfig
from spade_eval.errors import UserError, lookup
from spade_eval.models.checkpoints.safe_load import load_tensors
from spade_eval.models.choices import SettingSet
from spade_eval.models.discriminators.multiscale import MultiscaleDiscriminator
from spade_eval.models.encoders.variational import ImageEncoder
from spade_eval.models.generators import GENERATORS, build_generator
from spade_eval.models.initialisation import Scheme, initialise
from spade_eval.models.inputs import LatentSource
from spade_eval.models.losses.objective import OBJECTIVES, Objective
from spade_eval.models.losses.perceptual import PerceptualLoss
from spade_eval.models.systems.settings import TrainingSettings, training_settings
from spade_eval.models.training.distributed import ALONE, World
from spade_eval.models.training.gan import GANTraining, OptimizerSettings
from spade_eval.models.training.precision import ComputeSettings
from spade_eval.models.training.schedule import LinearDecay
from spade_eval.weights import VGG19, installed


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long a model trains: the fields of the same names of `TrainConfig`."""

    batch_size: int
    steps: int
    constant_steps: int
    decay_every: int


def settings_of(model: str, which: SettingSet, dataset: str) -> TrainingSettings:
    """The settings of a model's method on a dataset, with what the preset changes."""
    preset = lookup(GENERATORS, model, "generator")
    return dataclasses.replace(training_settings(preset.method, which, dataset), **preset.training)


def schedule_of(model: str, dataset: str, budget: Budget, num_samples: int) -> Schedule:
    """Steps as the budget has them, the second half decaying; or the epochs of the settings."""
    settings = settings_of(model, budget.settings, dataset)
    batch_size = budget.batch_size or settings.batch_size
    if batch_size % budget.accumulate:
        raise UserError(
            f"--accumulate {budget.accumulate}: expected a divisor of the batch size, which is "
            f"{batch_size}"
        )
    if budget.steps is not None:
        return Schedule(
            batch_size=batch_size,
            steps=budget.steps,
            constant_steps=budget.steps // 2,
            decay_every=1,
        )
    steps_per_epoch = max(1, num_samples // batch_size)
    return Schedule(
        batch_size=batch_size,
        steps=steps_per_epoch * (settings.constant_epochs + settings.decay_epochs),
        constant_steps=steps_per_epoch * settings.constant_epochs,
        decay_every=steps_per_epoch,
    )


def has_perceptual_loss(config: TrainConfig) -> bool:
    """Whether the model's objective has one, be its weights there or not."""
    settings = settings_of(config.model, config.settings, config.dataset)
    return OBJECTIVES[settings.objective].perceptual_weight > 0


def build_training(
    config: TrainConfig,
    num_labels: int,
    device: torch.device,
    weights_dir: Path,
    world: World = ALONE,
) -> GANTraining:
    """All networks with their first weights, drawn from the configuration's seed."""
    settings = settings_of(config.model, config.settings, config.dataset)
    generator = build_generator(
        config.model, num_labels, image_size=config.size, width=config.width, seed=config.seed
    )
    initialise(generator, settings.initialisation, config.seed)
    discriminator = _discriminator(config, settings, num_labels)
    perceptual = None
    if config.perceptual and has_perceptual_loss(config):
        perceptual = PerceptualLoss(load_tensors(installed(VGG19, weights_dir))).to(device)
    objective = dataclasses.replace(
        OBJECTIVES[settings.objective], kld_images=settings.kld_images or config.batch_size
    )
    return GANTraining(
        generator.to(device),
        discriminator.to(device),
        Objective(objective, perceptual),
        OptimizerSettings(
            generator_rate=settings.generator_learning_rate * config.rate_scale,
            discriminator_rate=settings.discriminator_learning_rate * config.rate_scale,
            betas=settings.betas,
            ema_decay=config.ema_decay,
        ),
        LinearDecay(
            constant=config.constant_steps,
            decay=config.steps - config.constant_steps,
            every=config.decay_every,
        ),
        _latent(config, generator, settings.initialisation, device, world),
        ComputeSettings(
            precision=config.precision,
            channels_last=config.channels_last,
            compile=config.compile,
        ),
        world=world,
    )


def _discriminator(
    config: TrainConfig, settings: TrainingSettings, num_labels: int
) -> MultiscaleDiscriminator:
    discriminator = MultiscaleDiscriminator(
        MultiscaleDiscriminator.Config(
            num_labels=num_labels,
            base_channels=max(8, round(64 * config.width)),
            num_layers=settings.discriminator_layers,
            num_scales=settings.discriminator_scales,
            norm=settings.discriminator_norm,
        )
    )
    initialise(discriminator, settings.initialisation, config.seed + 1)
    return discriminator


def _latent(
    config: TrainConfig, generator: nn.Module, scheme: Scheme, device: torch.device, world: World
) -> LatentSource | None:
    """z from N(0, 1), or from an image encoder that is trained along, as the preset says."""
    kind = GENERATORS[config.model].latent
    if kind == "none":
        return None
    z_dim = int(generator.config.z_dim)  # type: ignore[union-attr,arg-type]
    encoder: nn.Module | None = None
    if kind == "encoder":
        # Images are resized to a power of two; the published 256 for images of that size.
        shorter = min(256, *config.size)
        encoder = ImageEncoder(
            ImageEncoder.Config(
                base_channels=max(4, round(64 * config.width)),
                z_dim=z_dim,
                input_size=1 << (shorter.bit_length() - 1),
            )
        )
        initialise(encoder, scheme, config.seed + 2)
        encoder.to(device)
    return LatentSource(z_dim, config.seed, encoder, world.rank, world.size)
