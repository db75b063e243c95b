# SPDX-License-Identifier: Apache-2.0
"""Scores of the generator while it trains, on the first few val images, and the best of them.

The number of images is small and fixed, so these scores compare steps of one training, not models.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from spade_eval.batches import layout_for, semantic_map, to_unit_range
from spade_eval.datasets.base import Sample
from spade_eval.errors import UserError
from spade_eval.metrics import columns
from spade_eval.metrics.feature_set import FeatureSet
from spade_eval.models.inputs import Inputs, Noise
from spade_eval.models.training.precision import tf32
from spade_eval.models.training.trainer import Trainer
from spade_eval.scoring.scorer import Scorer
from spade_eval.sources.source import Source
from spade_eval.training.callbacks import continued

BEST = "best-"
"""In front of the names of the weights that scored best."""


class Keep(Protocol):
    """Writes the weights of this moment as the best ones, with the rule that chose them."""

    def __call__(self, rule: str, notes: Sequence[str]) -> None: ...


@dataclass(frozen=True)
class PeriodicScores:
    """Every so many steps, on the first so many val images."""

    every: int
    images: int
    scorer: Callable[[], Scorer]  # opened when it is first needed
    by: str = "miou"  # the column that says which weights are best

    @property
    def rule(self) -> str:
        """Rule by which the best weights are chosen, as their file records it."""
        label = columns()[self.by].label
        return f"best {label} on the first {self.images} val images, every {self.every} steps"

    def is_better(self, value: float, than: float) -> bool:
        """Return whether a number of that column is better than another."""
        return value > than if columns()[self.by].larger_is_better else value < than

    @property
    def note(self) -> str:
        """Sentence without which no number of the best weights is shown."""
        return (
            f"weights chosen by the {self.rule}: a choice by the reported metric on images that "
            "it is reported on is optimistic"
        )


class ScoreLog:
    """One JSON line a scoring; calls `keep` when its score is better than ever before.

    A continued run drops the lines that it will write again. Nothing of the training changes.
    """

    def __init__(
        self,
        path: Path,
        scores: PeriodicScores,
        source: Callable[[Scorer], Source],
        keep: Keep,
    ) -> None:
        self.path, self.scores, self.source, self.keep = path, scores, source, keep
        self._best: float | None = None
        self._is_first = True

    def __call__(self, step: int) -> dict[str, Any]:
        """Score now; returns the line that it writes."""
        if self._is_first:
            self._continue(step)
        values = self._score()
        score = values[self.scores.by]
        if score is not None and (self._best is None or self.scores.is_better(score, self._best)):
            self._best = score
            self.keep(rule=self.scores.rule, notes=(self.scores.note,))
        line = {"step": step, "rule": self.scores.rule, **values}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        return line

    def _continue(self, step: int) -> None:
        self._is_first = False
        earlier = continued(self.path, step)
        for line in earlier:
            if line["rule"] != self.scores.rule:
                raise UserError(
                    f"{self.path} was made for the {line['rule']}; expected the same "
                    "--score-every and --score-images (and --score-by) when a training is continued"
                )
            score = line[self.scores.by]
            if self._best is None or (
                score is not None and self.scores.is_better(score, self._best)
            ):
                self._best = score

    @cached_property
    def _scorer(self) -> Scorer:
        scorer = self.scores.scorer()
        return dataclasses.replace(scorer, count=min(self.scores.images, scorer.count))

    @cached_property
    def _references(self) -> dict[str, FeatureSet]:
        return self._scorer.references()

    def _score(self) -> dict[str, float | None]:
        # Scores are float32 as everywhere, whatever the training computes in.
        with tf32(False):
            scores = self._scorer.score(self.source(self._scorer), self._references)
        return scores.numbers


class InTraining:
    """The images that the generator of a running training makes, as a `Source`."""

    name = "generator in training"
    provenance: Mapping[str, Any] = {}
    notes: tuple[str, ...] = ()

    def __init__(self, trainer: Trainer, network: nn.Module, seed: int, scorer: Scorer) -> None:
        self.trainer, self.network, self.seed, self.scorer = trainer, network, seed, scorer
        self.layout = layout_for(type(trainer.system), scorer.dataset)

    def floats(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        return to_unit_range(self._synthesized(indices, samples))

    def _synthesized(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        device = self.scorer.device
        semantics = semantic_map(samples, self.layout, device)
        noise = Noise.of_images(self.seed, indices, device=device)
        images = self.trainer.synthesized(Inputs(semantics, noise), self.network)
        if not torch.isfinite(images).all():
            raise ValueError(
                "the generator's images hold NaN or infinite values, expected numbers in "
                "[-1, 1]; lower the learning rate, or train in float32"
            )
        return images
