# SPDX-License-Identifier: Apache-2.0
"""What a row of the red team is, and what it may use: all that a cheat could get hold of."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from spade_eval.config import Budget
from spade_eval.datasets.base import Dataset, Sample


@dataclass(frozen=True)
class Loot:
    """The data, the budget and the segmenter that scores."""

    dataset: Dataset  # the split that is scored
    count: int  # its first so many samples
    train_split: Callable[[], Dataset]
    segmenter: Callable[[Tensor], Tensor]  # (N, 3, H, W) in [0, 1] -> logits
    segmenter_sha256: str
    classes: Sequence[int]  # its class of each label value
    budget: Budget
    seed: int
    folder: Path  # for what a cheat keeps
    device: torch.device

    @cached_property
    def train(self) -> Dataset:
        """The train split, opened when it is first needed."""
        return self.train_split()


class Cheat(ABC):
    """A source of images that are better at scores than at what scores are for."""

    name: ClassVar[str]
    about: ClassVar[str]  # how it cheats, in a line
    file_format: ClassVar[str | None] = None  # of the files, where it delivers such

    def __init__(self, loot: Loot) -> None:
        self.loot = loot

    @property
    def identity(self) -> Mapping[str, Any]:
        """What decides which images it makes."""
        return {"cheat": self.name, "train": self.loot.train.fingerprint()}

    @property
    def provenance(self) -> Mapping[str, Any]:
        """The fields of `Measurement` that say whose images these are."""
        return {
            "source_kind": "cheat",
            "source_sha256": None,
            "style_input": "none",
            "file_format": self.file_format,
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences below a table with this row."""
        return (f"{self.name}: red team, {self.about}.",)

    def prepare(self) -> None:
        """Make what all processes of a run share; called in the first of them."""
        return

    @abstractmethod
    def floats(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        """Return (N, 3, H, W) float32 in [0, 1]: images for these samples of the split."""
