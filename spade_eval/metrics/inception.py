# SPDX-License-Identifier: Apache-2.0
"""Image features for FID: the last pool of Inception v3 with the weights of pytorch-fid.

Profile `pytorch-fid` (since its commit of 2019-05-27): bilinear resize to 299x299 on [0, 1] with
half-pixel centres and without antialiasing, then 2x - 1. The weights are a port of TensorFlow's
2015-12-05 graph and are given by the caller.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.errors import UserError
from spade_eval.metrics.inception_network import FEATURE_DIM, InceptionV3
from spade_eval.weights import INCEPTION

__all__ = ["FEATURE_DIM", "InceptionFeatures"]

_INPUT_SIZE = (299, 299)
_NAMES_SHOWN = 5


class InceptionFeatures(nn.Module):
    """Inception v3 from images in [0, 1] to FID features, with given weights."""

    feature_dim = FEATURE_DIM

    def __init__(self, state_dict: Mapping[str, Tensor]) -> None:
        """Take the entries of the weight file; its classifier and norm counters are not used."""
        super().__init__()
        used = {
            name: tensor
            for name, tensor in state_dict.items()
            if not name.startswith("fc.") and not name.endswith(".num_batches_tracked")
        }
        # On "meta" no random initialisation is drawn that the weights would overwrite at once.
        with torch.device("meta"):
            self.network = InceptionV3()
        _require_same_entries(used, self.network.state_dict())
        self.network.to_empty(device="cpu").load_state_dict(used)
        self.requires_grad_(False)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) floats in [0, 1] -> (N, 2048) float32."""
        if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
            raise ValueError(
                f"images are {tuple(images.shape)} {images.dtype}, expected (N, 3, H, W) floats"
            )
        low, high = images.aminmax()
        if low < 0 or high > 1:
            raise ValueError(
                f"images have values in [{low:.4g}, {high:.4g}], expected [0, 1]; "
                "convert the generator's [-1, 1] or 8-bit values first"
            )
        features: Tensor = self.network(network_input(images.float()))
        return features


def network_input(images: Tensor) -> Tensor:
    """(N, 3, H, W) in [0, 1] -> (N, 3, 299, 299) in [-1, 1], as profile `pytorch-fid` resizes."""
    resized = F.interpolate(
        images, _INPUT_SIZE, mode="bilinear", align_corners=False, antialias=False
    )
    return 2 * resized - 1


def _require_same_entries(given: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Name missing, unexpected and wrong-shaped entries together."""
    wrong_shape = [
        f"{name} {tuple(given[name].shape)} for {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in given and given[name].shape != tensor.shape
    ]
    problems = {
        "missing": [name for name in expected if name not in given],
        "unexpected": [name for name in given if name not in expected],
        "wrong shape": wrong_shape,
    }
    found = [_summary(kind, names) for kind, names in problems.items() if names]
    if found:
        raise UserError(
            f"weights do not fit the Inception network of FID: {'; '.join(found)}; "
            f"use {INCEPTION.file_name} from {INCEPTION.origin}"
        )


def _summary(kind: str, names: list[str]) -> str:
    shown = ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
    return f"{len(names)} {kind} ({shown})"
