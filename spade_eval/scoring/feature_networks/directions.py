# SPDX-License-Identifier: Apache-2.0
"""A distance along few principal directions of train photos, of which few images tell enough."""

import dataclasses

import torch
from torch import Tensor

from spade_eval.metrics.base import FeatureKind
from spade_eval.records import sha256_of_json
from spade_eval.scoring.distances import Directions, Distance

NUM_DIRECTIONS = 64
IMAGES_A_DIRECTION = 4
"""Images that a distance along directions needs for each: below, its bias is not removed."""

# The distance of the same features along principal directions, by the kind of the features.
_ALONG: dict[FeatureKind, tuple[str, FeatureKind]] = {"lite0": ("fd_lite0_64", "lite0-64")}


def has_directions(distance: Distance) -> bool:
    """Return whether the features of a distance are compared along directions, too."""
    return distance.kind in _ALONG


def along_directions(distance: Distance, train: Tensor, made_of: str) -> Distance:
    """Return the distance along the first principal directions of (N, D) training features.

    `made_of` is the hash of the photos.
    """
    metric, kind = _ALONG[distance.kind]
    return dataclasses.replace(
        distance,
        metric=metric,
        kind=kind,
        title=f"{distance.title}, {NUM_DIRECTIONS} principal directions of train photos",
        sha256=sha256_of_json([distance.sha256, made_of, NUM_DIRECTIONS]),
        directions=principal_directions(train, NUM_DIRECTIONS),
    )


def principal_directions(features: Tensor, count: int) -> Directions:
    """Return the first eigenvectors of the covariance of (N, D) features, N > `count`.

    The largest entry of each is positive, so that machines agree on its sign.
    """
    centred = features.double() - features.double().mean(dim=0)
    axes = torch.linalg.eigh(centred.T @ centred).eigenvectors.flip(1)[:, :count]
    largest = axes.gather(0, axes.abs().argmax(dim=0, keepdim=True))
    return Directions((axes * largest.sign()).float())
