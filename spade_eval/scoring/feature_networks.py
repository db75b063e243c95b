# SPDX-License-Identifier: Apache-2.0
"""Networks besides Inception and the segmenter whose features a run may compare, by --features.

One is a function here and a row of `FEATURES`; its distance is a metric of `spade_eval.metrics.fid`
with a name of its own, never FID.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.errors import as_user_error
from spade_eval.metrics.base import FeatureKind
from spade_eval.models.checkpoints.safe_load import load_tensors
from spade_eval.models.losses.efficientnet_lite0 import EfficientNetLite0
from spade_eval.records import sha256_of_json
from spade_eval.scoring.distances import Directions, Distance
from spade_eval.weights import LITE0, installed, sha256_of_weights

NUM_DIRECTIONS = 64
IMAGES_A_DIRECTION = 4
"""Images that a distance along directions needs for each: below, its bias is not removed."""
_SIDE = 224  # on which the classifier was trained


class Lite0Features(nn.Module):
    """EfficientNet-Lite0 on images of any size, resized to 224x224 (bicubic with antialiasing)."""

    feature_dim = EfficientNetLite0.feature_dim

    def __init__(self, network: EfficientNetLite0) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, 3, H, W) in [0, 1] -> (N, 1280), the mean over positions of the last layer."""
        size = (_SIDE, _SIDE)
        resized = F.interpolate(
            images, size, mode="bicubic", align_corners=False, antialias=True
        ).clamp(0, 1)
        features: Tensor = self.network(2 * resized - 1)
        return features


def open_lite0(weights_dir: Path, device: torch.device) -> Distance:
    """Open EfficientNet-Lite0; `UserError` where the extra `features` is not installed."""
    path = installed(LITE0, weights_dir)
    with as_user_error(f"weights {path.name}"):
        network = EfficientNetLite0().load(load_tensors(path))
    features = Lite0Features(network).to(device)
    return Distance("fd_lite0", LITE0.title, sha256_of_weights(path), features, kind="lite0")


FEATURES: dict[str, Callable[[Path, torch.device], Distance]] = {"lite0": open_lite0}

# The distance of the same features along principal directions, by the kind of the features.
_ALONG: dict[FeatureKind, tuple[str, FeatureKind]] = {"lite0": ("fd_lite0_64", "lite0-64")}


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
