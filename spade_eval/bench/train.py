# SPDX-License-Identifier: Apache-2.0
"""What a training step takes: the time of its parts, and memory beside the estimate of it."""

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spade_eval.bench.maps import BenchMaps
from spade_eval.bench.timing import Clock, Row, Run, alternating, resident_bytes
from spade_eval.bench.variants import Variant
from spade_eval.config import PRECISIONS, TrainConfig
from spade_eval.datasets.base import Dataset
from spade_eval.memory import peak_mib
from spade_eval.models.inputs import Batch, Noise
from spade_eval.models.systems.base import Data
from spade_eval.models.systems.presets import preset_of
from spade_eval.models.systems.settings import resolved
from spade_eval.models.training.distributed import ALONE, World
from spade_eval.models.training.loop import prefetched
from spade_eval.models.training.precision import tf32
from spade_eval.models.training.trainer import Trainer
from spade_eval.training.generator import batches_at, fill_store, prefetch_on
from spade_eval.training.memory_estimate import estimate_memory
from spade_eval.training.setup import build_training, data_of
from spade_eval.training.traffic import traffic_of

PHASES = ("data loading", "forward", "backward", "optimizer")
_NETWORK = "network "  # before the name of a network: its forward passes, as a phase
MAX_LOADING_SHARE = 0.05
"""Of a step on a CPU, where the loading takes the time of the networks."""


def time_training(
    config: TrainConfig,
    dataset: Dataset,
    device: torch.device,
    weights_dir: Path,
    warm_up: int = 2,
    world: World = ALONE,
) -> Row:
    """Time the first `config.steps` steps of a training, some not counted; nothing is saved.

    Several processes share each batch, and the first one's seconds are told. `first_step` (losses,
    and L2 norms of the gradients that G and D then learn from) and `losses` (of the last step) are
    those of the whole batch.

    `seconds`, `phases` and `networks` (of forward passes, by network; none of compiled ones) are of
    all counted steps together, `step_seconds` (the median), `fastest` and `slowest` of one.
    `peak_bytes`, on CUDA of tensors, elsewhere what the process grew by, is None where it is not
    known; `preparation_seconds` pass once, before the first step.
    """
    if not 0 <= warm_up < config.steps:
        raise ValueError(f"{config.steps} steps, expected more than the {warm_up} of the warm-up")
    before = torch.cuda.memory_allocated(device) if device.type == "cuda" else resident_bytes()
    data = data_of(config, dataset)
    training = build_training(config, data, device, weights_dir, world)
    training.measures_gradients = lambda done: done == 1
    names = [] if config.compile else _time_networks(training)
    preparation = Clock(device)
    with preparation("preparation"):
        world.on_first(lambda: fill_store(config, dataset))
    batch_at = functools.partial(batches_at, config, dataset, device, world=world)
    batches = prefetched(batch_at, 0, config.steps, prefetch_on(device))
    losses: list[dict[str, Tensor]] = []

    def run(number: int, clock: Clock) -> None:
        training.phase = clock
        with clock():
            with clock("data loading"):
                step, micro_batches = next(batches)
            losses.append(training.step(micro_batches, step))

    steps, images = config.steps - warm_up, config.batch_size // config.accumulate // world.size
    with tf32(config.tf32):
        (timing,) = alternating([run], repeats=steps, warm_up=warm_up, device=device)
    peak = peak_mib(device)  # since the first step: a later one takes more than it
    norms = {f"{name} gradient": float(norm) for name, norm in training.gradient_norms.items()}
    return {
        "model": config.model,
        "device": str(device),
        "processes": world.size,
        "steps": steps,
        "images": steps * config.batch_size,
        "warm_up": warm_up,
        "seconds": sum(timing.seconds),
        "step_seconds": timing.median,
        "fastest": min(timing.seconds),
        "slowest": max(timing.seconds),
        "phases": {name: timing.phases[name] for name in PHASES},
        "networks": {name: timing.phases[_NETWORK + name] for name in names},
        "peak_bytes": None if before is None or peak < 0 else round(peak * 2**20) - before,
        "estimate": estimate_memory(config, data, images),
        "traffic": traffic_of(config, data, images) if world.size > 1 else None,
        "preparation_seconds": preparation.seconds["preparation"],
        "first_step": {**world.mean(losses[0]), **norms},
        "losses": world.mean(losses[-1]),
    }


def _time_networks(training: Trainer) -> list[str]:
    """Enter a phase of the trainer around the calls of its networks, whose names are returned."""
    entered: list[str] = []  # the discriminator's pass over pairs may be one over both

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def called(*arguments: Any, **keywords: Any) -> Any:
            if entered:
                return function(*arguments, **keywords)
            entered.append(name)
            try:
                with training.phase(_NETWORK + name):
                    return function(*arguments, **keywords)
            finally:
                entered.clear()

        return called

    networks = dict(training.system.named_children())
    for name, network in networks.items():
        for method in ("forward", "of_pair"):
            if hasattr(network, method):
                setattr(network, method, timed(name, getattr(network, method)))
    return list(networks)


def training_run(
    model: str,
    maps: BenchMaps,
    batch_size: int,
    width: float,
    variant: Variant,
    device: torch.device,
) -> Run[Tensor | None]:
    """Return whole steps on label maps, without the perceptual loss, which needs a download.

    There are no steps as a CUDA graph: a step reads numbers of the device.
    """
    size = (maps.labels.shape[1], maps.labels.shape[2])
    settings = resolved(preset_of(model), "paper")
    still = {name: replace(item, rate=0.0) for name, item in settings.optimizers.items()}
    config = TrainConfig(
        method=replace(settings, optimizers=still, batch_size=batch_size),
        model=model, dataset="scenes", dataset_sha256="", size=size, settings="paper",
        steps=1, constant_steps=1, decay_every=1, rate_scale=0.0, ema_decay=None,
        batch_size=batch_size, width=width, accumulate=1, perceptual="none",
        precision=PRECISIONS.get(variant.precision, "float32"), tf32=variant.precision == "tf32",
        channels_last=variant.channels_last, compile=variant.compiled, seed=0,
    )  # fmt: skip
    data = Data(num_labels=maps.layout.num_labels, size=size, edges=maps.layout.edges)
    training = build_training(config, data, device, Path(), fast=variant.fast)

    def run(number: int, clock: Clock) -> None:
        semantics = maps.batch(max(number, 0), batch_size, device)
        photos = torch.zeros(semantics.batch_size, 3, *semantics.size, device=device)
        with clock(), tf32(config.tf32):
            noise = Noise.of_step(0, max(number, 0), 0, semantics.batch_size, device=device)
            training.step([Batch(semantics, photos, noise)], 0)

    return run
