# SPDX-License-Identifier: Apache-2.0
"""What half precision does to a baseline: its images and scores beside those of full precision."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from spade_eval.baselines import SHIPPED
from spade_eval.config import RunConfig
from spade_eval.datasets import open_dataset
from spade_eval.datasets.base import Dataset, Sample
from spade_eval.errors import UserError
from spade_eval.protocol import protocol_for
from spade_eval.records import Measurement
from spade_eval.scoring.networks import ScoringNetworks
from spade_eval.scoring.scorer import Scores
from spade_eval.sources.synthesis import SynthesizedByCheckpoint
from spade_eval.workplace import Workplace


@dataclass(frozen=True)
class Measured:
    """What the file in half precision scores, and how far that is from full precision."""

    scores: dict[str, float]  # fractions and distances, by metric
    half: dict[str, float]  # levels of 255 on average and at most; of each metric the difference


def measured(
    half: Path, full: Path, run: RunConfig, row: Measurement, place: Workplace
) -> Measured:
    """Score two files of a network as its `run` scored the `row`, both on this machine.

    Copies of training photos are not looked for, which takes longer than all else.
    """
    protocol = protocol_for(run.profile, run.dataset, run.segmenter, run.fid_profile)
    dataset, train = (
        open_dataset(run.dataset, split, run.budget.size, place.data_root)
        for split in (protocol.split, "train")
    )
    networks = ScoringNetworks(
        run, place, protocol, dataset, row.num_images, train_split=lambda: train
    )
    _require_same(row, dataset, networks)
    sources = [
        SynthesizedByCheckpoint(
            f"{row.source}, {precision}", file, dataset, protocol, place.device, SHIPPED,
            seed=run.seed, training=lambda: train,
        )
        for precision, file in (("half", half), ("full", full))
    ]  # fmt: skip
    beside = _Beside(*sources)
    scores, exact = (
        _numbers(networks.scorer.score(source, networks.references))
        for source in (beside, sources[1])
    )
    apart = {name: scores[name] - exact[name] for name in scores if name in exact}
    return Measured(scores, {**beside.levels, **apart})


class _Beside:
    """Images of the file in half precision, and how far they are from full precision; a `Source`.

    In levels of 8 bit, before they are rounded to whole ones.
    """

    def __init__(self, half: SynthesizedByCheckpoint, full: SynthesizedByCheckpoint) -> None:
        self.half, self.full = half, full
        self.name, self.provenance, self.notes = half.name, half.provenance, half.notes
        self._sum, self._count, self._largest = 0.0, 0, 0.0

    def floats(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        images = self.half.floats(indices, samples)
        apart = 255 * (images - self.full.floats(indices, samples)).abs()
        self._sum += float(apart.sum(dtype=torch.float64))
        self._count += apart.numel()
        self._largest = max(self._largest, float(apart.max()))
        return images

    @property
    def levels(self) -> dict[str, float]:
        """The distance on average and at most."""
        return {"mean_levels": self._sum / self._count, "largest_levels": self._largest}


def _require_same(row: Measurement, dataset: Dataset, networks: ScoringNetworks) -> None:
    """Refuse to choose by the numbers of one protocol and to state those of another."""
    here = dataset.fingerprint(), networks.resolved.sha256
    if here != (row.dataset_sha256, row.protocol_sha256):
        raise UserError(
            f"{row.source} was scored on other data or by other networks than are here, so that "
            "its seeds were chosen by other numbers; score the runs again here"
        )


def _numbers(scores: Scores) -> dict[str, float]:
    return {name: value for name, value in scores.numbers.items() if value is not None}
