# SPDX-License-Identifier: Apache-2.0
"""From a `TrainConfig` to a checkpoint: trains, keeps the best where asked, exports the weights."""

import dataclasses
import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from spade_eval.batches import layout_of, training_batch
from spade_eval.config import TrainConfig
from spade_eval.datasets.base import Dataset
from spade_eval.datasets.scenes import Scenes
from spade_eval.datasets.scenes.stored import StoredScenes
from spade_eval.errors import as_user_error
from spade_eval.models.checkpoints.files import save_network
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.training.distributed import ALONE, World
from spade_eval.models.training.gan import GANTraining, TrainingBatch
from spade_eval.models.training.loop import Loop, LoopSettings, Observer, Periodic
from spade_eval.models.training.order import DataOrder
from spade_eval.models.training.precision import tf32
from spade_eval.sources.checkpoints import description
from spade_eval.training.callbacks import GridWriter, LossLog, tensorboard_log
from spade_eval.training.memory_estimate import estimate_memory
from spade_eval.training.scores import BEST_NAME, PeriodicScores, ScoreLog
from spade_eval.training.setup import build_training, has_perceptual_loss

CHECKPOINT_NAME = "generator.safetensors"
ENCODER_NAME = "encoder.safetensors"
_NO_PERCEPTUAL = "trained without the perceptual loss (no VGG-19 weights were given)"


def train_generator(
    config: TrainConfig,
    dataset: Dataset,
    folder: Path,
    device: torch.device,
    weights_dir: Path,
    scores: PeriodicScores | None = None,
    world: World = ALONE,
) -> Path:
    """Train to the last step, continuing what is there; returns the path of the last weights.

    With `scores` the weights that score best on the way lie beside them, in `BEST_NAME`. The
    processes of `world` train together, each on its share of every batch.
    """
    checkpoint = folder / CHECKPOINT_NAME
    if world.on_first(checkpoint.is_file):
        return checkpoint
    with as_user_error(f"training {config.model}"):
        num_labels = layout_of(dataset).num_labels
        training = build_training(config, num_labels, device, weights_dir, world)
        if world.is_first:
            images = config.batch_size // config.accumulate // world.size
            estimate = estimate_memory(training, config.size, images)
            print(f"{config.model}: {estimate}", file=sys.stderr)
        world.on_first(lambda: fill_store(config, dataset))
        with tf32(config.tf32):
            _loop(config, dataset, folder, device, training, scores, world).run()
    world.on_first(lambda: _export(config, dataset, training, folder, CHECKPOINT_NAME))
    return checkpoint


def with_store(dataset: Dataset, folder: Path) -> Dataset:
    """A split whose samples are computed, with a file for them; other splits as they are."""
    return StoredScenes(dataset, folder) if isinstance(dataset, Scenes) else dataset


def fill_store(config: TrainConfig, dataset: Dataset) -> None:
    """Compute the samples of a training before its first step, where they are kept."""
    if not isinstance(dataset, StoredScenes):
        return
    order = DataOrder(num_samples=len(dataset), batch_size=config.batch_size, seed=config.seed)
    steps = range(min(config.steps, order.steps_per_epoch))
    needed = sorted(index for step in steps for index in order.at(step)[1])
    dataset.fill(tqdm(needed, desc="rendering samples", unit="image"))


def prefetch_on(device: torch.device) -> int:
    """Batches to load ahead; see `LoopSettings.prefetch`."""
    return 0 if device.type == "cpu" else 2


def batches_at(
    config: TrainConfig, dataset: Dataset, device: torch.device, step: int, world: World = ALONE
) -> list[TrainingBatch]:
    """The micro batches of a step, of each the share of this process."""
    order = DataOrder(num_samples=len(dataset), batch_size=config.batch_size, seed=config.seed)
    epoch, indices = order.at(step)
    count = config.batch_size // config.accumulate
    layout = layout_of(dataset)
    micro_batches = []
    for start in range(0, config.batch_size, count):
        samples = [
            dataset.training_sample(index, epoch, config.seed)
            for index in indices[start : start + count][world.share(count)]
        ]
        micro_batches.append(training_batch(samples, layout, device))
    return micro_batches


def _loop(
    config: TrainConfig,
    dataset: Dataset,
    folder: Path,
    device: torch.device,
    training: GANTraining,
    scores: PeriodicScores | None,
    world: World,
) -> Loop[Sequence[TrainingBatch]]:
    every = max(1, config.steps // 20)
    observers: list[Observer] = []
    if world.is_first:
        observers += [LossLog(folder / "losses.jsonl"), *tensorboard_log(folder / "tensorboard")]
    grids = GridWriter(folder / "grids", training, dataset, device)
    periodic = [Periodic(5 * every, grids)]
    if scores is not None:
        keep = functools.partial(_export, config, dataset, training, folder, BEST_NAME)
        log = ScoreLog(folder / "scores.jsonl", scores, training, keep)
        periodic.append(Periodic(scores.every, log))
    return Loop(
        trainable=training,
        batch_at=functools.partial(batches_at, config, dataset, device, world=world),
        settings=LoopSettings(
            steps=config.steps,
            batch_size=config.batch_size,
            save_every=max(1, min(1000, config.steps // 4)),
            observe_every=every,
            prefetch=prefetch_on(device),
        ),
        state_file=folder / "state.pt",
        config_sha256=config.sha256,
        observers=observers,
        periodic=periodic,
        title=config.model,
        world=world,
    )


def _export(
    config: TrainConfig,
    dataset: Dataset,
    training: GANTraining,
    folder: Path,
    name: str,
    rule: str = "last",
    notes: Sequence[str] = (),
) -> None:
    """Write the scored generator and its encoder; the generator last: it says that all is there."""
    if not config.perceptual and has_perceptual_loss(config):
        notes = (_NO_PERCEPTUAL, *notes)
    known: dict[str, Any] = {
        "model": config.model,
        "train": dataclasses.asdict(config),
        "train_config_sha256": config.sha256,
        "weights": "plain" if config.ema_decay is None else f"EMA {config.ema_decay}",
        "checkpoint_rule": rule,
        "notes": list(notes),
    }
    networks: list[tuple[str, torch.nn.Module, SemanticLayout | None]] = [
        (name, training.scored_generator, layout_of(dataset))
    ]
    if training.encoder is not None:
        encoder_name = name.replace(CHECKPOINT_NAME, ENCODER_NAME)
        networks.insert(0, (encoder_name, training.encoder, None))
    for file_name, network, layout in networks:
        described = description(network, layout, dataset.name, "trained by spade-eval", **known)
        save_network(folder / file_name, network.state_dict(), described)
