# SPDX-License-Identifier: Apache-2.0
"""The features of one set of images: what two-set metrics compare, kept as a file of its own."""

from pathlib import Path

import torch
from torch import Tensor

from spade_eval.metrics.arrays import read_features, write_arrays
from spade_eval.metrics.moments import FeatureMoments


class FeatureSet:
    """Features of one set of images: their moments, and themselves where they are kept."""

    def __init__(self, moments: FeatureMoments, features: Tensor | None) -> None:
        self.moments, self.features = moments, features

    @classmethod
    def of(cls, features: Tensor) -> "FeatureSet":
        """Make the set of (N, D) features, and their moments."""
        moments = FeatureMoments(features.shape[1])
        moments.update(features)
        return cls(moments, features.float())

    def save(self, path: Path) -> None:
        """Keep the features as an .npz without pickled objects."""
        assert self.features is not None
        path.parent.mkdir(parents=True, exist_ok=True)
        write_arrays(path, features=self.features.numpy())

    @classmethod
    def load(cls, path: Path) -> "FeatureSet":
        """Read what `save` wrote."""
        return cls.of(torch.from_numpy(read_features(path)))
