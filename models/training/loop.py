# SPDX-License-Identifier: Apache-2.0
"""The training loop: counts steps, saves states, reports losses. It knows no network or dataset.

A batch is a pure function of its step and a state holds all the rest, so a run that is killed
anywhere and started again ends with the weights of an undisturbed run, bit for bit.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from torch import Tensor
from tqdm import tqdm

from models.training.checkpoint import load_state, save_state

Batch = TypeVar("Batch")
BatchOf = TypeVar("BatchOf", contravariant=True)


class Trainable(Protocol[BatchOf]):
    """Networks and optimizers that can take one step and be saved."""

    def step(self, batch: BatchOf, step: int) -> dict[str, Tensor]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Observer(Protocol):
    """Something that watches a run: a log, a picture, a score. It must not change the run."""

    def __call__(self, step: int, losses: Mapping[str, float]) -> None: ...


@dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """How long a run lasts and how often it is saved and observed, in steps."""

    steps: int
    batch_size: int  # for the rate that the progress bar shows
    save_every: int = 100
    observe_every: int = 50
    # Batches that a thread makes ahead. 0 where the networks run on the CPU: there the thread only
    # takes the interpreter from them (a third slower, measured on two cores).
    prefetch: int = 2


@dataclass(frozen=True)
class Loop(Generic[Batch]):
    """A run in one folder, identified by the hash of its configuration."""

    trainable: Trainable[Batch]
    batch_at: Callable[[int], Batch]
    settings: LoopSettings
    state_file: Path
    config_sha256: str
    observers: Sequence[Observer] = ()
    title: str = "training"

    def run(self) -> None:
        """Train from the saved state, or from the beginning, to the last step."""
        start = self._restore()
        settings = self.settings
        batches = prefetched(self.batch_at, start, settings.steps, settings.prefetch)
        images = self.settings.batch_size
        total = self.settings.steps * images
        with tqdm(total=total, initial=start * images, desc=self.title, unit="image") as bar:
            for step, batch in batches:
                losses = self.trainable.step(batch, step)
                done = step + 1
                if self._is_due(done, self.settings.observe_every):
                    self._observe(done, losses, bar)
                if self._is_due(done, self.settings.save_every):
                    self._save(done)
                bar.update(images)

    def _is_due(self, done: int, every: int) -> bool:
        return done % every == 0 or done == self.settings.steps

    def _observe(self, done: int, losses: Mapping[str, Tensor], bar: Any) -> None:
        values = {name: float(loss) for name, loss in losses.items()}
        for name, value in values.items():
            if not math.isfinite(value):
                raise ValueError(
                    f"{self.title}: loss {name} is {value} at step {done}, expected a finite "
                    "number; lower the learning rate, or train in float32"
                )
        bar.set_postfix({name: f"{value:.3g}" for name, value in values.items()}, refresh=False)
        for observer in self.observers:
            observer(done, values)

    def _save(self, done: int) -> None:
        state = {"step": done, "config_sha256": self.config_sha256}
        save_state(self.state_file, {**state, "trainable": self.trainable.state_dict()})

    def _restore(self) -> int:
        if not self.state_file.exists():
            self.state_file.parent.mkdir(parents=True, exist_ok=True)
            return 0
        state = load_state(self.state_file)
        if state["config_sha256"] != self.config_sha256:
            raise ValueError(
                f"{self.state_file} was made with other settings "
                f"({state['config_sha256'][:12]}, now {self.config_sha256[:12]}); "
                "choose another folder, or remove it to train anew"
            )
        self.trainable.load_state_dict(state["trainable"])
        return int(state["step"])


def prefetched(
    batch_at: Callable[[int], Batch], start: int, stop: int, ahead: int = 2
) -> Iterator[tuple[int, Batch]]:
    """(step, batch) for start..stop-1; a thread makes the next `ahead` ones while one is used."""
    if not ahead:
        yield from ((step, batch_at(step)) for step in range(start, stop))
        return
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting: list[Future[Batch]] = []
        for step in range(start, stop):
            while len(waiting) <= ahead and step + len(waiting) < stop:
                waiting.append(pool.submit(batch_at, step + len(waiting)))
            yield step, waiting.pop(0).result()
