# SPDX-License-Identifier: Apache-2.0
"""Data order as a pure function of (seed, step): nothing to save, nothing to restore.

Each epoch is a permutation drawn from (seed, epoch); the last incomplete batch is dropped, as in
the release of SPADE.
"""

import zlib
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class DataOrder:
    """Which samples form the batch of a step."""

    num_samples: int
    batch_size: int
    seed: int
    name: str = ""  # tells several orders of one seed apart

    def __post_init__(self) -> None:
        if not 0 < self.batch_size <= self.num_samples:
            raise ValueError(
                f"batch size {self.batch_size}, expected 1..{self.num_samples} "
                "(the number of training samples); set it with --batch-size"
            )

    @property
    def steps_per_epoch(self) -> int:
        return self.num_samples // self.batch_size

    def at(self, step: int) -> tuple[int, list[int]]:
        """Return epoch and sample indices of the batch of `step`, both counted from 0."""
        epoch, position = divmod(step, self.steps_per_epoch)
        name = (zlib.crc32(self.name.encode()),) if self.name else ()
        seeds = np.random.SeedSequence((self.seed, epoch, *name))
        permutation = np.random.Generator(np.random.PCG64(seeds)).permutation(self.num_samples)
        start = position * self.batch_size
        return epoch, permutation[start : start + self.batch_size].tolist()
