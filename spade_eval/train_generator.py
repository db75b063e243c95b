# SPDX-License-Identifier: Apache-2.0
"""From a `TrainConfig` to a checkpoint: builds the networks, trains, exports the weights."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from models.discriminators.multiscale import MultiscaleDiscriminator
from models.encoders.variational import ImageEncoder
from models.generators import GENERATORS, build_generator
from models.initialisation import Scheme, initialise
from models.losses.objective import OBJECTIVES, Objective
from models.losses.perceptual import PerceptualLoss
from models.safe_load import load_tensors
from models.semantics import SemanticLayout
from models.settings import training_settings
from models.training.checkpoint import save_network
from models.training.gan import GANTraining, OptimizerSettings, TrainingBatch
from models.training.latent import LatentSource
from models.training.loop import Loop, LoopSettings
from models.training.order import DataOrder
from models.training.schedule import LinearDecay
from spade_eval.batches import layout_of, training_batch
from spade_eval.checkpoints import description
from spade_eval.config import TrainConfig
from spade_eval.datasets.base import Dataset
from spade_eval.errors import as_user_error, lookup
from spade_eval.observers import GridWriter, LossLog, tensorboard_log
from spade_eval.weights import VGG19, installed

CHECKPOINT_NAME = "generator.safetensors"
ENCODER_NAME = "encoder.safetensors"
_NO_PERCEPTUAL = "trained without the perceptual loss (no VGG-19 weights were given)"


def train_generator(
    config: TrainConfig, dataset: Dataset, folder: Path, device: torch.device, weights_dir: Path
) -> Path:
    """Train to the last step, continuing what is there; returns the checkpoint's path."""
    checkpoint = folder / CHECKPOINT_NAME
    if checkpoint.is_file():
        return checkpoint
    lookup(GENERATORS, config.model, "generator")
    with as_user_error(f"training {config.model}"):
        training = _networks(config, dataset, device, weights_dir)
        _loop(config, dataset, folder, device, training).run()
    networks: dict[Path, tuple[nn.Module, SemanticLayout | None]] = {
        checkpoint: (training.scored_generator, layout_of(dataset))
    }
    if training.encoder is not None:
        networks[folder / ENCODER_NAME] = (training.encoder, None)
    # The generator last: its file tells that everything is there.
    for path, (network, layout) in reversed(networks.items()):
        save_network(path, network.state_dict(), _description(config, dataset, network, layout))
    return checkpoint


def _networks(
    config: TrainConfig, dataset: Dataset, device: torch.device, weights_dir: Path
) -> GANTraining:
    num_labels = layout_of(dataset).num_labels
    preset = GENERATORS[config.model]
    settings = dataclasses.replace(
        training_settings(preset.method, config.settings, config.dataset), **preset.training
    )
    generator = build_generator(
        config.model, num_labels, image_size=config.size, width=config.width, seed=config.seed
    )
    initialise(generator, settings.initialisation, config.seed)
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
    perceptual = None
    if config.perceptual:
        perceptual = PerceptualLoss(load_tensors(installed(VGG19, weights_dir))).to(device)
    # Half of the run at the full rate, half of it decaying, as on ADE20K and Cityscapes.
    constant = config.steps // 2
    return GANTraining(
        generator.to(device),
        discriminator.to(device),
        Objective(OBJECTIVES[settings.objective], perceptual),
        OptimizerSettings(
            generator_rate=settings.generator_learning_rate * config.rate_scale,
            discriminator_rate=settings.discriminator_learning_rate * config.rate_scale,
            betas=settings.betas,
            ema_decay=config.ema_decay,
        ),
        LinearDecay(constant=constant, decay=config.steps - constant),
        _latent(config, generator, settings.initialisation, device),
    )


def _latent(
    config: TrainConfig, generator: nn.Module, scheme: Scheme, device: torch.device
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
    return LatentSource(z_dim, config.seed, encoder)


def _loop(
    config: TrainConfig,
    dataset: Dataset,
    folder: Path,
    device: torch.device,
    training: GANTraining,
) -> Loop[TrainingBatch]:
    batch_at = functools.partial(_batch_at, config, dataset, device)
    every = max(1, config.steps // 20)
    return Loop(
        trainable=training,
        batch_at=batch_at,
        settings=LoopSettings(
            steps=config.steps,
            batch_size=config.batch_size,
            save_every=max(1, min(1000, config.steps // 4)),
            observe_every=every,
            prefetch=0 if device.type == "cpu" else 2,
        ),
        state_file=folder / "state.pt",
        config_sha256=config.sha256,
        observers=(
            LossLog(folder / "losses.jsonl"),
            GridWriter(folder / "grids", training, dataset, device, every=5 * every),
            *tensorboard_log(folder / "tensorboard"),
        ),
        title=config.model,
    )


def _batch_at(
    config: TrainConfig, dataset: Dataset, device: torch.device, step: int
) -> TrainingBatch:
    order = DataOrder(num_samples=len(dataset), batch_size=config.batch_size, seed=config.seed)
    epoch, indices = order.at(step)
    samples = [dataset.training_sample(index, epoch, config.seed) for index in indices]
    return training_batch(samples, layout_of(dataset), device)


def _description(
    config: TrainConfig, dataset: Dataset, network: nn.Module, layout: SemanticLayout | None
) -> dict[str, Any]:
    notes: Sequence[str] = () if config.perceptual else (_NO_PERCEPTUAL,)
    return description(
        network,
        layout,
        dataset.name,
        "trained by spade-eval",
        model=config.model,
        train=dataclasses.asdict(config),
        train_config_sha256=config.sha256,
        weights="plain" if config.ema_decay is None else f"EMA {config.ema_decay}",
        checkpoint_rule="last",
        notes=list(notes),
    )
