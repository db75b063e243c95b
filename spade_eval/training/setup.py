# SPDX-License-Identifier: Apache-2.0
"""From a budget to a `TrainConfig` with everything resolved, and from that to a trainer."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from spade_eval.batches import layout_for
from spade_eval.config import Budget, RunConfig, TrainConfig
from spade_eval.datasets.base import Dataset
from spade_eval.errors import UserError, lookup
from spade_eval.models.choices import LabelInput, PerceptualNetwork, RateDecay
from spade_eval.models.fast.accelerate import accelerate, accelerate_frozen
from spade_eval.models.labels import Size
from spade_eval.models.systems.base import Data, Settings, System
from spade_eval.models.systems.presets import GENERATORS
from spade_eval.models.systems.settings import resolved
from spade_eval.models.training.distributed import ALONE, World
from spade_eval.models.training.precision import ComputeSettings
from spade_eval.models.training.schedule import RateSchedule
from spade_eval.models.training.trainer import Trainer
from spade_eval.training import perceptual


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long a model trains: the fields of the same names of `TrainConfig`."""

    batch_size: int
    steps: int
    constant_steps: int
    decay_every: int


def train_config(model: str, run: RunConfig, split: Dataset, weights_dir: Path) -> TrainConfig:
    """Resolve how a run trains a model on the training split."""
    budget, preset = run.budget, lookup(GENERATORS, model, "generator")
    _require_size(model, budget.size)
    schedule = schedule_of(model, run.dataset, budget, len(split))
    method = method_of(model, run.dataset, budget, schedule.batch_size)
    return TrainConfig(
        model=model,
        dataset=run.dataset,
        dataset_sha256=split.fingerprint(),
        size=budget.size,
        **dataclasses.asdict(schedule),
        settings=budget.settings,
        method=method,
        width=budget.width,
        rate_scale=budget.rate_scale,
        ema_decay=method.ema_decay,
        perceptual=resolved_perceptual(model, method, run, weights_dir),
        accumulate=budget.accumulate,
        precision=budget.precision,
        tf32=budget.tf32,
        channels_last=budget.channels_last,
        compile=budget.compile,
        one_synthesis=budget.one_synthesis and preset.system.synthesizes_twice,
        seed=run.seed,
    )


def _require_size(model: str, size: Size) -> None:
    system = lookup(GENERATORS, model, "generator").system
    multiple, (height, width) = system.multiple, size
    if height % multiple or width % multiple:
        raise UserError(
            f"--size {height}x{width}: {model} is trained on images whose height and width are "
            f"multiples of {multiple}; give another size"
        )
    if min(size) < system.smallest:
        raise UserError(
            f"--size {height}x{width}: {model} is trained on images of at least {system.smallest} "
            "pixels a side; give another size"
        )


def schedule_of(model: str, dataset: str, budget: Budget, num_samples: int) -> Schedule:
    """Return the budget's steps, the second half decaying, or the epochs of the settings."""
    preset = lookup(GENERATORS, model, "generator")
    settings = resolved(preset, budget.settings, dataset)
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
    if preset.system.whole_steps is not None:
        return Schedule(
            batch_size=batch_size,
            steps=preset.system.whole_steps,
            constant_steps=preset.system.whole_steps,
            decay_every=steps_per_epoch,
        )
    return Schedule(
        batch_size=batch_size,
        steps=steps_per_epoch * (settings.constant_epochs + settings.decay_epochs),
        constant_steps=steps_per_epoch * settings.constant_epochs,
        decay_every=steps_per_epoch,
    )


def method_of(model: str, dataset: str, budget: Budget, batch_size: int) -> Any:
    """Resolve the settings of a model's method, with what the budget changes of them."""
    settings = resolved(lookup(GENERATORS, model, "generator"), budget.settings, dataset)
    optimizers = {
        name: dataclasses.replace(
            optimizer,
            rate=optimizer.rate * budget.rate_scale,
            decay=_rate_decay(model, optimizer.decay, budget.rate_decay),
        )
        for name, optimizer in settings.optimizers.items()
    }
    ema_decay = budget.ema_decay
    if ema_decay is None:
        ema_decay = _decay_within(settings.ema_decay, budget.steps)
    settings = dataclasses.replace(
        settings, optimizers=optimizers, batch_size=batch_size, ema_decay=ema_decay
    )
    return settings if budget.label_input is None else _reading(model, settings, budget.label_input)


def _rate_decay(model: str, own: str, wanted: RateDecay | None) -> str:
    """Return how a rate falls; `UserError` for a method whose rates do not fall linearly."""
    if wanted is None or own == wanted:
        return own
    if own != "linear":
        raise UserError(
            f"--rate-decay {wanted}: the rates of {model} are {own} in its own training; expected "
            "a model whose rates fall linearly (spade): leave the flag out"
        )
    return wanted


def _reading(model: str, settings: Any, label_input: LabelInput) -> Any:
    """Change how label maps are read; `UserError` for a method that reads them in one way."""
    if not hasattr(settings, "label_input"):
        raise UserError(
            f"--label-input {label_input}: {model} reads label maps in one way alone; expected a "
            "model that translates pictures (pix2pix): leave the flag out"
        )
    return dataclasses.replace(settings, label_input=label_input)


def _decay_within(decay: float | None, steps: int | None) -> float | None:
    """Return a method's decay, with a memory of at most a tenth of a budget's own steps.

    The published decays are those of some hundred thousand steps. After a few hundred, such an
    average is mostly the first weights. Memories of two steps harm nobody.
    """
    if decay is None or steps is None:
        return decay
    return min(decay, max(0.5, round(1 - 10 / steps, 4)))


def system_class(config: TrainConfig) -> type[System]:
    """Return the method that trains a model."""
    return lookup(GENERATORS, config.model, "generator").system


def resolved_perceptual(
    model: str, method: Settings, run: RunConfig, weights_dir: Path
) -> PerceptualNetwork:
    """Return whose features the model's loss compares; "none" where it has no perceptual term."""
    system = lookup(GENERATORS, model, "generator").system
    if not system.has_perceptual_loss(method):
        return "none"
    return perceptual.resolved(run.budget.perceptual, system, run.dataset, weights_dir)


def lacks_perceptual_loss(config: TrainConfig) -> bool:
    """Return whether the model's objective has a perceptual term that is left out."""
    has = system_class(config).has_perceptual_loss(config.method)
    return has and config.perceptual == "none"


def build_system(
    config: TrainConfig, data: Data, device: torch.device, weights_dir: Path, *, fast: bool = True
) -> System:
    """Build the networks with their first weights, drawn from the configuration's seed.

    With their fast forms, but for a bench that compares these with the plain ones.
    """
    preset = lookup(GENERATORS, config.model, "generator")
    measure = perceptual.measure_of(config.perceptual, preset.system, config.dataset, weights_dir)
    if fast and measure is not None:
        measure = accelerate_frozen(measure, gradients=True)
    system = preset.system.build(
        preset, data, config.method, width=config.width, seed=config.seed, measure=measure
    )
    system.one_synthesis = config.one_synthesis
    return (accelerate(system) if fast else system).to(device)


def data_of(config: TrainConfig, dataset: Dataset) -> Data:
    """Return what the networks of a training are built for."""
    layout = layout_for(system_class(config), dataset)
    return Data(
        num_labels=layout.num_labels,
        size=config.size,
        palette=dataset.label_space.palette,
        unlabelled_first=layout.unknown == "first",
        edges=layout.edges,
    )


def build_training(
    config: TrainConfig,
    data: Data,
    device: torch.device,
    weights_dir: Path,
    world: World = ALONE,
    *,
    fast: bool = True,
) -> Trainer:
    """Build a system and what trains it."""
    return Trainer(
        build_system(config, data, device, weights_dir, fast=fast),
        config.method,
        RateSchedule(
            constant=config.constant_steps,
            decay=config.steps - config.constant_steps,
            every=config.decay_every,
        ),
        ComputeSettings(
            precision=config.precision,
            channels_last=config.channels_last,
            compile=config.compile,
        ),
        world=world,
    )
