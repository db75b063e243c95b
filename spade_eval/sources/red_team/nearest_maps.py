# SPDX-License-Identifier: Apache-2.0
"""The sample of a pool whose label map agrees best with another label map."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spade_eval.datasets.base import Dataset, Sample
from spade_eval.progress import followed

_SIDE = 32  # of the maps that are compared


class NearestMaps:
    """Some samples of a split, found by the share of pixels that have the label of another map."""

    def __init__(self, dataset: Dataset, indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices
        read = followed(indices, "label maps", len(indices), "map")
        self._maps = np.stack([_reduced(dataset[index].label_map) for index in read])

    def of(self, sample: Sample) -> Sample:
        """Return the first of the samples that agree best."""
        agreement = (self._maps == _reduced(sample.label_map)).mean(axis=1)
        return self.dataset[self.indices[int(agreement.argmax())]]


def _reduced(label_map: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Take the pixels of a 32x32 grid (nearest): (1024,)."""
    height, width = label_map.shape
    rows, columns = (np.arange(_SIDE) * side // _SIDE for side in (height, width))
    return label_map[np.ix_(rows, columns)].ravel()
