# SPDX-License-Identifier: Apache-2.0
"""EfficientNet-Lite0, a classifier of ImageNet whose weights come with the extra `features`."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.errors import as_user_error
from spade_eval.models.checkpoints.safe_load import load_tensors
from spade_eval.models.fast.accelerate import accelerate_frozen
from spade_eval.models.losses.efficientnet_lite0 import EfficientNetLite0
from spade_eval.scoring.distances import Distance
from spade_eval.weights import LITE0, installed, sha256_of_weights

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
    features = accelerate_frozen(Lite0Features(network).to(device))
    return Distance("fd_lite0", LITE0.title, sha256_of_weights(path), features, kind="lite0")
