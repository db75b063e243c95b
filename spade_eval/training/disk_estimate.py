# SPDX-License-Identifier: Apache-2.0
"""What a training leaves on the disk, counted on networks without content before it starts."""

from dataclasses import dataclass

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from spade_eval.config import TrainConfig
from spade_eval.models.systems.base import Data
from spade_eval.training.memory_estimate import ADAM_MOMENTS, num_bytes, without_content

_GRID_SAMPLES, _GRID_ROWS, _GRIDS = 6, 3, 5  # see GridWriter, and how often it is called


@dataclass(frozen=True, kw_only=True)
class DiskEstimate:
    """In bytes."""

    exported: int  # the network files that stay
    state: int  # all that a step depends on: one file
    grids: int  # pictures on the way, at most: as if they could not be compressed

    @property
    def at_the_end(self) -> int:
        """With the last state and the one before it."""
        return self.exported + 2 * self.state + self.grids

    @property
    def peak(self) -> int:
        """While a third state is written, or weights of a better score beside the last ones."""
        return self.at_the_end + self.state + self.exported


def estimate_disk(config: TrainConfig, data: Data) -> DiskEstimate:
    """Count the bytes of the files of a training; no memory is taken for it."""
    with torch.random.fork_rng(devices=[]), FakeTensorMode(allow_non_fake_inputs=True):
        system = without_content(config, data)
        networks = [getattr(system, name).state_dict().values() for name in system.exported]
        scored = getattr(system, system.scored).state_dict().values()
        state = num_bytes(system.state_dict().values())
        state += ADAM_MOMENTS * num_bytes(system.parameters())
        if config.ema_decay is not None:
            state += num_bytes(scored)
        exported = sum(map(num_bytes, networks))
    height, width = config.size
    grids = _GRIDS * _GRID_SAMPLES * _GRID_ROWS * 3 * height * width
    return DiskEstimate(exported=exported, state=state, grids=grids)
