# SPDX-License-Identifier: Apache-2.0
"""What a training step takes: the time of its parts, and memory beside the estimate of it."""

import functools
import itertools
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from spade_eval.batches import layout_of
from spade_eval.bench.loading import resident_bytes
from spade_eval.config import TrainConfig
from spade_eval.datasets.base import Dataset
from spade_eval.models.training.loop import prefetched
from spade_eval.models.training.precision import tf32
from spade_eval.training.generator import batches_at, fill_store, prefetch_on
from spade_eval.training.memory_estimate import MemoryEstimate, estimate_memory
from spade_eval.training.setup import build_training

PHASES = ("data loading", "forward", "backward", "optimizer")
MAX_LOADING_SHARE = 0.05
"""Of a step on a CPU, where the loading takes the time of the networks."""


@dataclass(frozen=True, kw_only=True)
class TrainTiming:
    """`seconds` and `phases` are of all measured steps together."""

    model: str
    device: str
    steps: int
    images: int
    warm_up: int
    seconds: float
    step_seconds: float  # median
    fastest: float  # step
    slowest: float
    phases: dict[str, float]  # what remains is between them: averages, zeroing, bookkeeping
    peak_bytes: int | None  # CUDA: of tensors; CPU: what the process grew by; None: not known
    estimate: MemoryEstimate
    preparation_seconds: float  # once before the first step: samples computed and kept

    @property
    def steps_per_second(self) -> float:
        return self.steps / self.seconds

    @property
    def images_per_second(self) -> float:
        return self.images / self.seconds

    def share(self, phase: str) -> float:
        """Of the time of a step."""
        return self.phases[phase] / self.seconds


class Clock:
    """Adds up the time inside of named phases; waits for the device at both ends."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        started = self.now()
        try:
            yield
        finally:
            self.seconds[phase] += self.now() - started


def time_training(
    config: TrainConfig,
    dataset: Dataset,
    device: torch.device,
    weights_dir: Path,
    warm_up: int = 2,
) -> TrainTiming:
    """The first `config.steps` steps of a training, some of them not counted; nothing is saved."""
    if not 0 <= warm_up < config.steps:
        raise ValueError(f"{config.steps} steps, expected more than the {warm_up} of the warm-up")
    before = _memory(device)
    training = build_training(config, layout_of(dataset).num_labels, device, weights_dir)
    clock = Clock(device)
    training.phase = clock
    with clock("preparation"):
        fill_store(config, dataset)
    preparation_seconds = clock.seconds["preparation"]
    batch_at = functools.partial(batches_at, config, dataset, device)
    batches = prefetched(batch_at, 0, config.steps, prefetch_on(device))
    marks: list[float] = []  # where measured steps begin
    with tf32(config.tf32):
        for number in range(config.steps):
            if number == warm_up:
                clock.seconds.clear()
            if number >= warm_up:
                marks.append(clock.now())
            with clock("data loading"):
                step, batch = next(batches)
            training.step(batch, step)
    marks.append(clock.now())
    taken = [end - start for start, end in itertools.pairwise(marks)]
    after = _memory(device, peak=True)
    return TrainTiming(
        model=config.model,
        device=str(device),
        steps=len(taken),
        images=len(taken) * config.batch_size,
        warm_up=warm_up,
        seconds=marks[-1] - marks[0],
        step_seconds=statistics.median(taken),
        fastest=min(taken),
        slowest=max(taken),
        phases={name: clock.seconds[name] for name in PHASES},
        peak_bytes=None if before is None or after is None else after - before,
        estimate=estimate_memory(training, config.size, config.batch_size // config.accumulate),
        preparation_seconds=preparation_seconds,
    )


def _memory(device: torch.device, peak: bool = False) -> int | None:
    """Bytes in use now, or the most that ever were."""
    if device.type == "cuda":
        if peak:
            return torch.cuda.max_memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    if not peak:
        return resident_bytes()
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
