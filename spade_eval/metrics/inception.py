# SPDX-License-Identifier: Apache-2.0
"""Image features for FID: the last pool of Inception v3, by the profile that is asked for.

Images enter as the profile resizes and scales them; the weights are given by the caller, who finds
them under `profile.weights`.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from spade_eval.errors import UserError
from spade_eval.metrics.fid_profiles import FID_PROFILES, FIDProfile
from spade_eval.metrics.inception_network import FEATURE_DIM, inception_v3
from spade_eval.models.mismatch import mismatch

__all__ = ["FEATURE_DIM", "InceptionFeatures"]

_COUNTER = ".num_batches_tracked"


class InceptionFeatures(nn.Module):
    """Inception v3 from images to FID features, with given weights."""

    feature_dim = FEATURE_DIM

    def __init__(
        self, state_dict: Mapping[str, Tensor], profile: FIDProfile = FID_PROFILES["pytorch-fid"]
    ) -> None:
        """Take the entries of `profile.weights`; classifiers and norm counters are not used."""
        super().__init__()
        self.profile = profile
        self.network = inception_v3(profile.network)
        expected = self.network.state_dict()
        # torchvision's file holds a second classifier; in the other one it would be foreign.
        unused = ("fc.", "AuxLogits.") if profile.network == "torchvision" else ("fc.",)
        used = {name: torch.tensor(0) for name in expected if name.endswith(_COUNTER)} | {
            name: tensor
            for name, tensor in state_dict.items()
            if not name.startswith(unused) and not name.endswith(_COUNTER)
        }
        if problem := mismatch(used, expected):
            raise UserError(
                f"weights do not fit the Inception network of FID ({problem}); "
                f"use {profile.weights.file_name} from {profile.weights.origin}"
            )
        self.network.to_empty(device="cpu").load_state_dict(used)
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "InceptionFeatures":
        """Stay in eval mode: norms use the stored statistics."""
        return super().train(False)

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, 3, H, W) uint8, or floats in [0, 1], -> (N, 2048) float32."""
        features: Tensor = self.network(self.profile.network_input(images))
        return features
