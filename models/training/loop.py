# SPDX-License-Identifier: Apache-2.0
"""The training loop: counts steps, saves states, reports losses. It knows no network or dataset.

A batch is a pure function of its step and a state holds all the rest, so a run that is killed
anywhere and started again ends with the weights of an undisturbed run, bit for bit.
"""

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NoReturn, Protocol, TypeVar

from torch import Tensor

from spade_eval.models.checkpoints.files import load_state, previous_state, save_state
from spade_eval.models.training.distributed import ALONE, World
from spade_eval.models.training.stopping import TrainingStopped, stop_request
from spade_eval.progress import Progress, tell

Batch = TypeVar("Batch")
BatchOf = TypeVar("BatchOf", contravariant=True)


class Trainable(Protocol[BatchOf]):
    """Networks and optimizers that can take one step and be saved."""

    def step(self, batch: BatchOf, step: int, /) -> dict[str, Tensor]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Callback(Protocol):
    """Something that watches the losses of a run. It must not change the run."""

    def __call__(self, step: int, losses: Mapping[str, float]) -> None: ...


@dataclass(frozen=True)
class Periodic:
    """Something that looks at the networks, every so many steps and after the last.

    A picture, a score. It must not change the run.
    """

    every: int
    action: Callable[[int], object]  # given the number of steps done


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

    def is_due(self, done: int, every: int) -> bool:
        """Return whether something of every so many steps is due; all is after the last."""
        return done % every == 0 or done == self.steps

    def is_observed(self, done: int) -> bool:
        """Return whether callbacks are called after so many steps."""
        return self.is_due(done, self.observe_every)


@dataclass(frozen=True)
class Loop(Generic[Batch]):
    """A run in one folder, identified by the hash of its configuration."""

    trainable: Trainable[Batch]
    batch_at: Callable[[int], Batch]
    settings: LoopSettings
    state_file: Path
    config_sha256: str
    callbacks: Sequence[Callback] = ()
    periodic: Sequence[Periodic] = ()
    title: str = "training"
    world: World = ALONE  # the first process of it alone reads, writes and observes

    def run(self) -> None:
        """Train from the saved state, or from the beginning, to the last step.

        On SIGTERM or SIGINT the running step is finished and saved; then `TrainingStopped`.
        """
        start = self._restore()
        settings = self.settings
        images = settings.batch_size
        total = settings.steps * images
        with (
            stop_request() as stop,
            Progress(
                self.title, total, "image", done=start * images, shown=self.world.is_first
            ) as progress,
        ):
            for step, batch in prefetched(self.batch_at, start, settings.steps, settings.prefetch):
                losses = self.trainable.step(batch, step)
                stopping = self.world.any(stop.requested)
                self._after(step + 1, losses, progress)
                progress.advance(images)
                if stopping:
                    self._stop(step + 1)

    def _after(self, done: int, losses: Mapping[str, Tensor], progress: Progress) -> None:
        """Observe and save what is due after so many steps."""
        if self.settings.is_observed(done):
            self._observe(done, losses, progress)
        if not self.world.is_first:
            return
        for item in self.periodic:
            if self.settings.is_due(done, item.every):
                item.action(done)
        if self.settings.is_due(done, self.settings.save_every):
            self._save(done)

    def _stop(self, done: int) -> NoReturn:
        if self.world.is_first and not self.settings.is_due(done, self.settings.save_every):
            self._save(done)
        raise TrainingStopped(
            f"{self.title}: stopped after step {done} of {self.settings.steps}, "
            f"saved in {self.state_file}"
        )

    def _observe(self, done: int, losses: Mapping[str, Tensor], progress: Progress) -> None:
        values = self.world.mean(losses)
        for name, value in values.items():
            if not math.isfinite(value):
                raise ValueError(
                    f"{self.title}: loss {name} is {value} at step {done}, expected a finite "
                    "number; lower the learning rate, or train in float32"
                )
        progress.state({name: f"{value:.3g}" for name, value in values.items()})
        for callback in self.callbacks if self.world.is_first else ():
            callback(done, values)

    def _save(self, done: int) -> None:
        state = {"step": done, "config_sha256": self.config_sha256}
        save_state(self.state_file, {**state, "trainable": self.trainable.state_dict()})

    def _restore(self) -> int:
        """Restore the saved state and return the number of its steps; 0 where there is none."""
        state = self.world.on_first(self._saved_state)
        if state is None:
            return 0
        if state["config_sha256"] != self.config_sha256:
            raise ValueError(
                f"{self.state_file} was made with other settings "
                f"({state['config_sha256'][:12]}, now {self.config_sha256[:12]}); "
                "choose another folder, or remove it to train anew"
            )
        try:
            self.trainable.load_state_dict(state["trainable"])
        except (RuntimeError, LookupError, TypeError, ValueError, AttributeError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(
                f"{self.state_file} does not fit the networks ({reason:.300}); remove it to train "
                "from the beginning"
            ) from error
        return int(state["step"])

    def _saved_state(self) -> dict[str, Any] | None:
        """Read the last state, or where its file is damaged or lost the one before."""
        self.state_file.parent.mkdir(parents=True, exist_ok=True)
        before = previous_state(self.state_file)
        if not self.state_file.exists():
            # Between two renamings of `save_state` the state before is the only one.
            return _state_in(before) if before.exists() else None
        try:
            return _state_in(self.state_file)
        except ValueError:
            if not before.exists():
                raise
            state = _state_in(before)
            damaged = self.state_file.with_suffix(".damaged")
            os.replace(self.state_file, damaged)  # so that it never becomes the state before
            tell(
                f"{self.title}: {self.state_file} is damaged (now {damaged.name}); continuing "
                f"from the state before it, of step {state['step']}"
            )
            return state


def _state_in(path: Path) -> dict[str, Any]:
    """Read a state of a run; `ValueError` for a damaged one, or one of anything else."""
    state = load_state(path)
    kinds = {"step": int, "config_sha256": str, "trainable": dict}
    wrong = [name for name, kind in kinds.items() if type(state.get(name)) is not kind]
    if wrong or state["step"] < 0:
        raise ValueError(
            f"{path} is no state of a training (its {', '.join(wrong) or 'step'} is missing or "
            "wrong); remove it to train from the beginning"
        )
    return state


def prefetched(
    batch_at: Callable[[int], Batch], start: int, stop: int, ahead: int = 2
) -> Iterator[tuple[int, Batch]]:
    """Yield (step, batch) for start..stop-1; a thread makes the next `ahead` ones meanwhile."""
    if not ahead:
        yield from ((step, batch_at(step)) for step in range(start, stop))
        return
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting: list[Future[Batch]] = []
        for step in range(start, stop):
            while len(waiting) <= ahead and step + len(waiting) < stop:
                waiting.append(pool.submit(batch_at, step + len(waiting)))
            yield step, waiting.pop(0).result()
