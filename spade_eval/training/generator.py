# SPDX-License-Identifier: Apache-2.0
"""From a `TrainConfig` to a checkpoint: trains, keeps the best where asked, exports the weights."""

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from spade_eval.batches import layout_for, training_batch
from spade_eval.config import TrainConfig
from spade_eval.datasets.base import Dataset
from spade_eval.datasets.scenes import Scenes
from spade_eval.datasets.scenes.stored import StoredScenes
from spade_eval.errors import as_user_error
from spade_eval.models.checkpoints.files import save_network
from spade_eval.models.inputs import Batch, Noise
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.training.distributed import ALONE, World
from spade_eval.models.training.loop import Callback, Loop, LoopSettings, Periodic
from spade_eval.models.training.order import DataOrder
from spade_eval.models.training.precision import tf32
from spade_eval.models.training.trainer import Trainer
from spade_eval.progress import followed, tell
from spade_eval.scoring.scorer import Scorer
from spade_eval.sources.checkpoints import description
from spade_eval.training import perceptual
from spade_eval.training.callbacks import GridWriter, LossLog, TrackedLosses, tracked_scores
from spade_eval.training.memory_estimate import estimate_memory
from spade_eval.training.scores import BEST, InTraining, PeriodicScores, ScoreLog
from spade_eval.training.setup import (
    build_training,
    data_of,
    lacks_perceptual_loss,
    system_class,
)
from spade_eval.training.trackers import tracking
from spade_eval.training.trackers.base import Tracked, Trackers

CHECKPOINT_NAME = "generator.safetensors"
_ONE_SYNTHESIS = (
    "trained with one synthesis a step: D learned from the images of G's update, where the method "
    "makes them anew"
)


def train_generator(
    config: TrainConfig,
    dataset: Dataset,
    folder: Path,
    device: torch.device,
    weights_dir: Path,
    scores: PeriodicScores | None = None,
    world: World = ALONE,
    trackers: Sequence[str] = (),
) -> Path:
    """Train to the last step, continuing what is there; returns the path of the last weights.

    With `scores` the weights that score best on the way are saved too, their names headed by
    `BEST`. The processes of `world` train together, each on its share of every batch; the first
    one tells the `trackers`, rows of `TRACKERS`.
    """
    checkpoint = folder / CHECKPOINT_NAME
    if world.on_first(checkpoint.is_file):
        return checkpoint
    with as_user_error(f"training {config.model}"):
        data = data_of(config, dataset)
        trainer = build_training(config, data, device, weights_dir, world)
        if world.is_first and device.type == "cuda":
            images = config.batch_size // config.accumulate // world.size
            tell(f"{config.model}: {estimate_memory(config, data, images)}")
        world.on_first(lambda: fill_store(config, dataset))
        told = Tracked(
            name=config.model,
            folder=folder,
            sha256=config.sha256,
            settings=dataclasses.asdict(config),
        )
        with tf32(config.tf32), tracking(trackers if world.is_first else (), told) as tracked:
            _loop(config, dataset, folder, device, trainer, scores, world, tracked).run()
    world.on_first(lambda: _export(config, dataset, trainer, folder))
    return checkpoint


def with_store(dataset: Dataset, folder: Path) -> Dataset:
    """Return a split whose samples are computed, with a file for them; other splits as they are."""
    return StoredScenes(dataset, folder) if isinstance(dataset, Scenes) else dataset


def fill_store(config: TrainConfig, dataset: Dataset) -> None:
    """Compute the samples of a training before its first step, where they are kept."""
    if not isinstance(dataset, StoredScenes):
        return
    orders = [_order(config, dataset)]
    if not system_class(config).paired:
        orders.append(_order(config, dataset, "photos"))
    steps = range(min(config.steps, orders[0].steps_per_epoch))
    needed = sorted({index for order in orders for step in steps for index in order.at(step)[1]})
    dataset.fill(followed(needed, "rendering samples", len(needed), "image"))


def prefetch_on(device: torch.device) -> int:
    """Return how many batches to load ahead; see `LoopSettings.prefetch`."""
    return 0 if device.type == "cpu" else 2


def batches_at(
    config: TrainConfig, dataset: Dataset, device: torch.device, step: int, world: World = ALONE
) -> list[Batch]:
    """Return the micro batches of a step, of each the share of this process."""
    layout = layout_for(system_class(config), dataset)
    epoch, indices = _order(config, dataset).at(step)
    # Unpaired systems see the photos of other scenes than the label maps'.
    shown = indices
    if not system_class(config).paired:
        shown = _order(config, dataset, "photos").at(step)[1]
    count = config.batch_size // config.accumulate
    micro_batches = []
    for micro in range(config.accumulate):
        share = world.share(count)
        part = slice(micro * count + share.start, micro * count + share.stop)
        load = functools.partial(dataset.training_sample, epoch=epoch, seed=config.seed)
        labelled = [load(index) for index in indices[part]]
        photographed = labelled if shown is indices else [load(index) for index in shown[part]]
        noise = Noise.of_step(config.seed, step, micro, count, share, device)
        micro_batches.append(training_batch(labelled, photographed, layout, noise, world))
    return micro_batches


def finishing_batches(
    config: TrainConfig, dataset: Dataset, device: torch.device
) -> Iterator[Batch]:
    """Yield batches that no step has seen as they are, without end; see `System.finished`."""
    for step in itertools.count(config.steps):
        yield from batches_at(config, dataset, device, step)


def _order(config: TrainConfig, dataset: Dataset, name: str = "") -> DataOrder:
    return DataOrder(
        num_samples=len(dataset), batch_size=config.batch_size, seed=config.seed, name=name
    )


def _loop(
    config: TrainConfig,
    dataset: Dataset,
    folder: Path,
    device: torch.device,
    trainer: Trainer,
    scores: PeriodicScores | None,
    world: World,
    trackers: Trackers,
) -> Loop[Sequence[Batch]]:
    every = max(1, config.steps // 20)
    settings = LoopSettings(
        steps=config.steps,
        batch_size=config.batch_size,
        save_every=max(1, min(1000, config.steps // 4)),
        observe_every=every,
        prefetch=prefetch_on(device),
    )
    callbacks: list[Callback] = []
    if world.is_first:
        callbacks.append(LossLog(folder / "losses.jsonl"))
    if trackers:
        trainer.measures_gradients = settings.is_observed
        callbacks.append(TrackedLosses(trackers, trainer))
    grids = GridWriter(folder / "grids", trainer, dataset, device, trackers)
    periodic = [Periodic(5 * every, grids)]
    if scores is not None:
        keep = functools.partial(_export, config, dataset, trainer, folder, BEST)

        def source(scorer: Scorer) -> InTraining:
            network = trainer.finished(finishing_batches(config, dataset, device))
            return InTraining(trainer, network, config.seed, scorer)

        log = ScoreLog(folder / "scores.jsonl", scores, source, keep)
        periodic.append(Periodic(scores.every, tracked_scores(trackers, log)))
    return Loop(
        trainable=trainer,
        batch_at=functools.partial(batches_at, config, dataset, device, world=world),
        settings=settings,
        state_file=folder / "state.pt",
        config_sha256=config.sha256,
        callbacks=callbacks,
        periodic=periodic,
        title=config.model,
        world=world,
    )


def _export(
    config: TrainConfig,
    dataset: Dataset,
    trainer: Trainer,
    folder: Path,
    prefix: str = "",
    rule: str = "last",
    notes: Sequence[str] = (),
) -> None:
    """Write every exported network; the scored one last: it says that all is there."""
    if config.perceptual != "none" or lacks_perceptual_loss(config):
        notes = (*perceptual.notes(config.perceptual), *notes)
    if config.one_synthesis:
        notes = (_ONE_SYNTHESIS, *notes)
    known: dict[str, Any] = {
        "model": config.model,
        "train": dataclasses.asdict(config),
        "train_config_sha256": config.sha256,
        "weights": "plain" if config.ema_decay is None else f"EMA {config.ema_decay}",
        "checkpoint_rule": rule,
        "notes": list(notes),
    }
    networks: list[tuple[str, torch.nn.Module, SemanticLayout | None]] = [
        (f"{name}.safetensors", network, None)
        for name, network in trainer.others_exported().items()
    ]
    scored = trainer.finished(finishing_batches(config, dataset, trainer.device))
    networks.append((CHECKPOINT_NAME, scored, layout_for(type(trainer.system), dataset)))
    for name, network, layout in networks:
        described = description(network, layout, dataset.name, "trained by spade-eval", **known)
        save_network(folder / (prefix + name), network.state_dict(), described)
