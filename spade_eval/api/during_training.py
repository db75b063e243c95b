# SPDX-License-Identifier: Apache-2.0
"""`spade_eval.DuringTraining`: scores now and then inside a training loop of somebody else's."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch import nn

from spade_eval.api.running import Scoring, benchmark_of, session_folder
from spade_eval.errors import UserError
from spade_eval.models.training.precision import tf32
from spade_eval.scoring.scorer import Scorer
from spade_eval.sources.called import Generator, called
from spade_eval.sources.given import Split
from spade_eval.sources.source import Source
from spade_eval.sources.value_range import ValueRange
from spade_eval.training.scores import PeriodicScores, ScoreLog

if TYPE_CHECKING:
    from typing_extensions import Unpack


class DuringTraining:
    """Scores a generator every so many steps on the first val images; the training is not moved.

    Call it with step and generator. A module is in evaluation mode meanwhile and afterwards as it
    was; torch's random numbers, too. Scores of few images compare steps of one training and no
    models: report `evaluate` on the whole split.
    """

    def __init__(
        self,
        *,
        every: int = 1000,
        images: int = 100,
        value_range: ValueRange | None = None,
        by: str = "miou",
        log: str | Path | None = None,
        time_limit: float | None = None,
        **scoring: "Unpack[Scoring]",
    ) -> None:
        """`by` names the column that says which step is best; `log` is a file of JSON lines.

        A log is continued: lines from its step on are dropped. How it is scored: `Scoring`.
        """
        if every < 1 or images < 2:
            raise UserError(
                f"DuringTraining: every={every}, images={images}; expected at least 1 step and 2 "
                "images"
            )
        self.every, self.value_range, self.time_limit = every, value_range, time_limit
        self.history: list[dict[str, Any]] = []
        self.best_step: int | None = None
        self.is_best = False  # whether the last scores were better than any before
        with tf32(False):
            self._suite = benchmark_of(**scoring)
        path = Path(log) if log is not None else _fresh_log()
        scores = PeriodicScores(every, min(images, self._suite.count), self._scorer, by)
        self._generator: Generator | None = None
        self._log = ScoreLog(path, scores, self._source, self._keep)

    def __call__(self, step: int, generator: Generator) -> dict[str, Any] | None:
        """Return the scores of this step, {"step": 1000, "miou": 0.31, ...}; None between.

        Raises `UserError`, which names the first label map whose image is wrong.
        """
        if step % self.every:
            return None
        self._generator, self.is_best = generator, False
        gpus = range(torch.cuda.device_count())
        # Networks that score draw numbers when they are built.
        with in_evaluation_mode(generator), torch.random.fork_rng(gpus):
            found = self._log(step)
        self._generator = None
        self.best_step = step if self.is_best else self.best_step
        self.history.append(found)
        return found

    @property
    def frame(self) -> pd.DataFrame:
        """A line for each scoring since the object was made."""
        return pd.DataFrame(self.history)

    def _scorer(self) -> Scorer:
        return self._suite.networks.scorer

    def _source(self, scorer: Scorer) -> Source:
        assert self._generator is not None
        split = Split(
            name="generator in training",
            dataset=scorer.dataset,
            count=scorer.count,
            first=range(min(scorer.count, scorer.protocol.batch_size)),
            device=scorer.device,
            seed=self._suite.config.seed,
            protocol=scorer.protocol,
            training=self._suite.networks.train_split,
        )
        return called(self._generator, self.value_range, time_limit=self.time_limit)(split)

    def _keep(self, rule: str, notes: Sequence[str]) -> None:
        self.is_best = True


@contextmanager
def in_evaluation_mode(generator: object) -> Iterator[None]:
    """Put every part of a module into evaluation mode, and afterwards into the one it was in."""
    parts = list(generator.modules()) if isinstance(generator, nn.Module) else []
    modes = [part.training for part in parts]
    for part in parts:
        part.training = False
    try:
        yield
    finally:
        for part, mode in zip(parts, modes, strict=True):
            part.training = mode


def _fresh_log() -> Path:
    return Path(tempfile.mkdtemp(prefix="training-", dir=session_folder())) / "scores.jsonl"
