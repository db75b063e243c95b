# SPDX-License-Identifier: Apache-2.0
"""The features of one set of images: what two-set metrics compare, kept as a file of its own."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spade_eval.errors import UserError
from spade_eval.metrics.arrays import read_arrays, read_features, write_arrays
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
        stated = {} if made_by is None else {"stated": np.array([made_by, _sha256(features)])}
        write_arrays(path, features=features, **stated)

    @classmethod
    def load(cls, path: Path) -> "FeatureSet":
        """Read what `save` wrote."""
        return cls.of(torch.from_numpy(read_features(path)))


def is_cached(path: Path, made_by: str) -> bool:
    """Return whether a file holds features as `save` kept them for this `made_by`, unchanged."""
    try:
        stated = read_arrays(path, ("stated",), "a cache of features")["stated"]
        return stated.tolist() == [made_by, _sha256(read_features(path))]
    except UserError:
        return False


def _sha256(features: NDArray[Any]) -> str:
    """Hash shape, kind and values."""
    form = f"{features.dtype.str}{features.shape}".encode()
    return hashlib.sha256(form + features.tobytes()).hexdigest()
