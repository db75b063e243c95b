# SPDX-License-Identifier: Apache-2.0
"""Label maps painted in the colours of the photos."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spade_eval.datasets.base import Sample
from spade_eval.sources.red_team.base import Cheat

_MOST = 500  # training photos that are averaged, the first ones


class Palette(Cheat):
    """One colour a class; the floor `label colours` has those of the dataset's palette."""

    name = "palette"
    about = "paints each class in the mean colour of its pixels in training photos"

    def floats(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        painted = np.stack([self._colours[sample.label_map] for sample in samples])
        return torch.from_numpy(painted).permute(0, 3, 1, 2).float() / 255

    @cached_property
    def _colours(self) -> NDArray[np.float64]:
        """(256, 3) mean colours by label value, 0..255; grey of a class that has no pixel."""
        sums, pixels = np.zeros((256, 3)), np.zeros(256)
        for index in range(min(_MOST, len(self.loot.train))):
            sample = self.loot.train[index]
            labels = sample.label_map.ravel()
            pixels += np.bincount(labels, minlength=256)
            for channel in range(3):
                levels = sample.photo[..., channel].ravel()
                sums[:, channel] += np.bincount(labels, weights=levels, minlength=256)
        means = sums / np.maximum(pixels, 1)[:, None]
        return np.where(pixels[:, None] > 0, means, 127.5)
