# SPDX-License-Identifier: Apache-2.0
"""Several images of each label map as several sources: one a draw, scored one after another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from torch import Tensor

from spade_eval.datasets.base import Sample
from spade_eval.sources.source import Source


class DrawnSource(Source, Protocol):
    """A source of several images of each label map."""

    @property
    def num_draws(self) -> int: ...

    def floats(self, indices: Sequence[int], samples: Sequence[Sample], draw: int = 0) -> Tensor:
        """Return (N, 3, H, W) in [0, 1]; `draw` counts from 0."""
        ...


def num_draws(source: Source) -> int:
    """Return how many images of each label map a source has; 1 where it says nothing."""
    return int(getattr(source, "num_draws", 1))


def draws_of(source: Source) -> list[Source]:
    """Return a source for each draw; the first is the source itself."""
    drawn = cast(DrawnSource, source)
    return [source, *(Draw(drawn, number) for number in range(1, num_draws(source)))]


@dataclass(frozen=True)
class Draw:
    """One image of each label map of a source that has several."""

    source: DrawnSource
    number: int  # from 0

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def provenance(self) -> Mapping[str, Any]:
        return self.source.provenance

    @property
    def notes(self) -> tuple[str, ...]:
        return self.source.notes

    @property
    def eight_bit(self) -> str:
        """Say what holds 8 bits alone."""
        return str(getattr(self.source, "eight_bit", ""))

    def floats(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        return self.source.floats(indices, samples, self.number)


def notes_of_draws(source: Source, best: bool) -> tuple[str, ...]:
    """Say what the columns of a row of several draws are of."""
    count = num_draws(source)
    if count == 1:
        return ()
    notes = [
        f"{source.name}: {count} images of each label map. A column without a further word is of "
        f"the first one; pooled: pixels and features of all {count} taken together; mean: of the "
        f"{count} draws' scores, ± their standard deviation. Intervals are over label maps, whose "
        "images stay together."
    ]
    if best:
        notes.append(
            f"{source.name}: best of {count} takes of each label map the image with the most "
            "correct pixels, chosen by the label map that scores it: an oracle, which ranks no row."
        )
    return tuple(notes)
