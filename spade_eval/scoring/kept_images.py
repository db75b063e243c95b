# SPDX-License-Identifier: Apache-2.0
"""The images of a run that stay as PNG: with the scores, or made again later, bit for bit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from spade_eval.datasets.base import Dataset
from spade_eval.protocol import Protocol
from spade_eval.scoring.scorer import Scorer
from spade_eval.scoring.stopping import order_of
from spade_eval.sources.image_files import (
    ImageWriter,
    lacks_images,
    num_written,
    write_images,
    write_inputs,
)
from spade_eval.sources.source import Source
from spade_eval.workplace import Workplace


@dataclass(frozen=True)
class KeptImages:
    """Which images of a run are kept, and where: the first ones that are scored."""

    place: Workplace
    protocol: Protocol
    dataset: Dataset
    count: int
    scorer: Callable[[], Scorer]  # opened where images have to be made again

    @property
    def number(self) -> int:
        """How many of a row there are."""
        return num_written(range(self.count), self.place.save_images)

    def indices(self, num_scored: int | None = None) -> Sequence[int]:
        """Return theirs in the split; a rule may have ended a row after `num_scored`."""
        return order_of(self.protocol, self.count)[: self.number][:num_scored]

    def folder(self, row: str) -> Path:
        """Return where those of a row are."""
        return self.place.run_folder / "images" / row

    def writer(self, row: str, *, keep: bool) -> ImageWriter:
        """Return what writes them while a row is scored; nothing unless it is to `keep` any."""
        return ImageWriter(self.folder(row), self.number if keep else 0)

    def write_inputs(self, indices: Sequence[int] | None = None) -> None:
        """Write what is shown beside them: classes and label maps."""
        shown = self.indices() if indices is None else indices
        write_inputs(self.place.run_folder, self.dataset, shown)

    def lacks(self, row: str, indices: Sequence[int]) -> bool:
        """Return whether any of these of a row is not there."""
        return lacks_images(self.folder(row), [self.dataset.names[index] for index in indices])

    def write_again(self, source: Source, indices: Sequence[int]) -> None:
        """Write images of a row that is recorded: those of these indices that are kept anyway."""
        with self.writer(source.name, keep=True) as writer:
            for batch in self.scorer().batches(source, "writing", indices):
                writer.write(batch.places, batch.samples, batch.images)

    def write_these(self, source: Source, wanted: set[int]) -> None:
        """Write images of a row wherever in the split they are."""
        for batch in self.scorer().batches(source, "keeping", wanted):
            shown = [i for i, index in enumerate(batch.indices) if index in wanted]
            samples = [batch.samples[i] for i in shown]
            write_images(self.folder(source.name), samples, batch.images[shown])
