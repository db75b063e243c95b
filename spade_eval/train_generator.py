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
from models.generators import GENERATORS, build_generator
from models.initialisation import initialise
from models.losses.objective import OBJECTIVES, Objective
from models.losses.perceptual import PerceptualLoss
from models.safe_load import load_tensors
from models.training.checkpoint import save_network
from models.training.gan import GANTraining, OptimizerSettings, TrainingBatch
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
    network = training.scored_generator
    save_network(checkpoint, network.state_dict(), _description(config, dataset, network))
    return checkpoint


def _networks(
    config: TrainConfig, dataset: Dataset, device: torch.device, weights_dir: Path
) -> GANTraining:
    num_labels = layout_of(dataset).num_labels
    generator = build_generator(
        config.model, num_labels, image_size=config.size, width=config.width, seed=config.seed
    )
    discriminator = MultiscaleDiscriminator(
        MultiscaleDiscriminator.Config(
            num_labels=num_labels, base_channels=max(8, round(64 * config.width))
        )
    )
    initialise(discriminator, GENERATORS[config.model].initialisation, config.seed + 1)
    perceptual = None
    if config.perceptual:
        perceptual = PerceptualLoss(load_tensors(installed(VGG19, weights_dir))).to(device)
    # Half of the run at the full rate, half of it decaying, as on ADE20K and Cityscapes.
    constant = config.steps // 2
    return GANTraining(
        generator.to(device),
        discriminator.to(device),
        Objective(OBJECTIVES["spade"], perceptual),
        OptimizerSettings(
            generator_rate=1e-4 * config.rate_scale,
            discriminator_rate=4e-4 * config.rate_scale,
            ema_decay=config.ema_decay,
        ),
        LinearDecay(constant=constant, decay=config.steps - constant),
    )


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


def _description(config: TrainConfig, dataset: Dataset, network: nn.Module) -> dict[str, Any]:
    notes: Sequence[str] = () if config.perceptual else (_NO_PERCEPTUAL,)
    return description(
        network,
        layout_of(dataset),
        dataset.name,
        "trained by spade-eval",
        model=config.model,
        train=dataclasses.asdict(config),
        train_config_sha256=config.sha256,
        weights="plain" if config.ema_decay is None else f"EMA {config.ema_decay}",
        checkpoint_rule="last",
        notes=list(notes),
    )
