# SPDX-License-Identifier: Apache-2.0
"""Features of corrupted photos, by every network of this machine; `data photos` compares them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from spade_eval.datasets.tools.corruptions import STEPS, Pixels
from spade_eval.metrics import columns
from spade_eval.metrics.fid_profiles import FID_PROFILES
from spade_eval.records import sha256_of_file
from spade_eval.scoring.distances import Distance, open_distances
from spade_eval.scoring.feature_networks.lite0 import open_lite0
from spade_eval.scoring.in_domain import SHIPPED, open_in_domain
from spade_eval.segmenters.in_domain import InDomainFeatures
from spade_eval.weights import INCEPTION, LITE0, is_installed

_AT_ONCE = 20
_PROFILE = "pytorch-fid"
_DATASET = "scenes"  # whose segmenter ships
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Halves:
    """(N, D) features of two halves of some photos, and of the second one corrupted."""

    column: str  # label of the distance
    real: Floats
    clean: Floats
    corrupted: dict[tuple[str, str], Floats]  # by ladder and strength


def distances_at_hand(weights_dir: Path, device: torch.device) -> list[Distance]:
    """Open every network that is there: Inception, EfficientNet-Lite0, the segmenter of scenes."""
    found: list[Distance] = []
    if is_installed(INCEPTION, weights_dir):
        found += open_distances({_PROFILE: FID_PROFILES[_PROFILE]}, None, weights_dir, device)
    if is_installed(LITE0, weights_dir):
        found.append(open_lite0(weights_dir, device))
    shipped = SHIPPED[_DATASET]
    network = InDomainFeatures(open_in_domain(shipped)[0]).to(device)
    title, sha256 = f"in-domain U-Net of {_DATASET}", sha256_of_file(shipped)
    return [*found, Distance("fd_in_domain", title, sha256, network, kind="in-domain")]


def features_of_steps(
    photos: Sequence[Pixels],
    distance: Distance,
    device: torch.device,
    advance: Callable[[], None] = lambda: None,
) -> Halves:
    """Compute features of photos of one size (H, W, 3), clean and at every step."""
    half = len(photos) // 2
    # Every second photo: neighbours in a folder are often alike, and so are on both sides.
    first, second = photos[0::2][:half], photos[1::2][:half]
    corrupted = {}
    for step in STEPS:
        numbers = np.random.default_rng(0)
        made = [step.apply(photo, numbers) for photo in second]
        corrupted[step.ladder, step.strength] = _features(made, distance, device)
        advance()
    label = columns()[distance.metric].label
    return Halves(
        column=f"{label} of {_DATASET}" if distance.kind == "in-domain" else label,
        real=_features(first, distance, device),
        clean=_features(second, distance, device),
        corrupted=corrupted,
    )


def _features(photos: Sequence[Pixels], distance: Distance, device: torch.device) -> Floats:
    parts = []
    for start in range(0, len(photos), _AT_ONCE):
        batch = torch.from_numpy(np.stack(photos[start : start + _AT_ONCE]))
        parts.append(distance.features(batch.permute(0, 3, 1, 2).float().div(255).to(device)))
    return torch.cat(parts).double().numpy()
