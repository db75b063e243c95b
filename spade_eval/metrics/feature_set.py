# SPDX-License-Identifier: Apache-2.0
"""The features of one set of images: what two-set metrics compare, kept as a file of its own."""

from pathlib import Path

import torch
from torch import Tensor

from spade_eval.metrics.arrays import read_cache, read_features, write_arrays, write_cache
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

    def save(self, path: Path, made_by: str | None = None) -> None:
        """Keep the features as an .npz without pickled objects.

        A cache states `made_by`, the hash of what made them, and the hash of the features.
        """
        assert self.features is not None
        path.parent.mkdir(parents=True, exist_ok=True)
        features = self.features.numpy()
        if made_by is None:
            write_arrays(path, features=features)
        else:
            write_cache(path, made_by, features=features)

    @classmethod
    def load(cls, path: Path) -> "FeatureSet":
        """Read what `save` wrote."""
        return cls.of(torch.from_numpy(read_features(path)))


def is_cached(path: Path, made_by: str) -> bool:
    """Return whether a file holds features as `save` kept them for this `made_by`, unchanged."""
    return read_cache(path, made_by, ("features",)) is not None
