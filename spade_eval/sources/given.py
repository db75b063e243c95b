# SPDX-License-Identifier: Apache-2.0
"""What a user hands over to be scored, until there is a split to score it on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from spade_eval.datasets.base import Dataset
from spade_eval.models.training.distributed import ALONE, World
from spade_eval.protocol import Protocol as ScoringProtocol
from spade_eval.sources.source import Source


@dataclass(frozen=True, kw_only=True)
class Split:
    """The row that images are asked for, and the label maps that they belong to."""

    name: str  # of the row
    dataset: Dataset
    count: int  # the first so many samples
    first: Sequence[int]  # the samples of the first batch
    device: torch.device
    seed: int
    protocol: ScoringProtocol
    training: Callable[[], Dataset]  # whose photos are others than those compared with
    world: World = ALONE
    draws: int = 1  # images of each label map that generators make


class GivenSource(Source, Protocol):
    """A source that knows which images it holds."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """What decides its images: equal ones are scored once."""
        ...


Opens = Callable[[Split], GivenSource]
"""Makes the source of a row; everything that can be refused is refused now, with `UserError`."""


def once(opens: Opens) -> Opens:
    """Return what opens a row the first time alone: an iterator ends, and a generator is slow."""
    opened: list[GivenSource] = []

    def kept(split: Split) -> GivenSource:
        if not opened:
            opened.append(opens(split))
        return opened[0]

    return kept
