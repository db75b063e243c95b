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
from torch import Tensor

from spade_eval.batches import layout_of, semantic_map, to_8_bit
from spade_eval.datasets.base import Sample
from spade_eval.errors import UserError
from spade_eval.latents import standard_normal
from spade_eval.models.training.gan import GANTraining
from spade_eval.models.training.precision import tf32
from spade_eval.scoring.distances import FeatureSet
from spade_eval.scoring.scorer import Scorer
from spade_eval.training.callbacks import continued

BEST_NAME = "best-generator.safetensors"


class Keep(Protocol):
    """Writes the weights of this moment as the best ones, with the rule that chose them."""

    def __call__(self, rule: str, notes: Sequence[str]) -> None: ...


@dataclass(frozen=True)
class PeriodicScores:
    """Every so many steps, on the first so many val images."""

    every: int
    images: int
    scorer: Callable[[], Scorer]  # opened when it is first needed

    @property
    def rule(self) -> str:
        """How the best weights are chosen, as their file records it."""
        return f"best mIoU on the first {self.images} val images, every {self.every} steps"

    @property
    def note(self) -> str:
        """What a number of the best weights must not be shown without."""
        return (
            f"weights chosen by the {self.rule}: a choice by the reported metric on images that "
            "it is reported on is optimistic"
        )


class ScoreLog:
    """One JSON line a scoring; calls `keep` when the mIoU is higher than ever before.

    A continued run drops the lines that it will write again. Nothing of the training changes.
    """

    def __init__(
        self, path: Path, scores: PeriodicScores, training: GANTraining, keep: Keep
    ) -> None:
        self.path, self.scores, self.training, self.keep = path, scores, training, keep
        self._best: float | None = None
        self._is_first = True

    def __call__(self, step: int) -> None:
        if self._is_first:
            self._continue(step)
        values = self._score()
        miou = values["miou"]
        if miou is not None and (self._best is None or miou > self._best):
            self._best = miou
            self.keep(rule=self.scores.rule, notes=(self.scores.note,))
        line = {"step": step, "rule": self.scores.rule, **values}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _continue(self, step: int) -> None:
        self._is_first = False
        earlier = continued(self.path, step)
        for line in earlier:
            if line["rule"] != self.scores.rule:
                raise UserError(
                    f"{self.path} was made for the {line['rule']}; expected the same "
                    "--score-every and --score-images when a training is continued"
                )
        self._best = max((line["miou"] for line in earlier), default=None)

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
            source = InTraining(self.training, self._scorer)
            scores = self._scorer.score(source, self._references)
        return {**scores.segmentation, **scores.distances}


class InTraining:
    """The images that the generator of a running training makes, as a `Source`."""

    name = "generator in training"
    provenance: Mapping[str, Any] = {}
    notes: tuple[str, ...] = ()

    def __init__(self, training: GANTraining, scorer: Scorer) -> None:
        self.training, self.scorer = training, scorer
        self.layout = layout_of(scorer.dataset)

    def images(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        return to_8_bit(self._synthesized(indices, samples), self.scorer.protocol)

    def floats(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        return (self._synthesized(indices, samples) + 1) / 2

    def _synthesized(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        latent = self.training.latent
        z = None if latent is None else standard_normal(latent.z_dim, latent.seed, indices)
        semantics = semantic_map(samples, self.layout, self.scorer.device)
        images = self.training.preview(semantics, z)
        if not torch.isfinite(images).all():
            raise ValueError(
                "the generator's images hold NaN or infinite values, expected numbers in "
                "[-1, 1]; lower the learning rate, or train in float32"
            )
        return images
