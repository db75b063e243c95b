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
from spade_eval.metrics.inception_network import FEATURE_DIM, TORCHVISION, InceptionV3
from spade_eval.models.mismatch import misfit

__all__ = ["FEATURE_DIM", "InceptionFeatures"]


class InceptionFeatures(nn.Module):
    """Inception v3 from images to FID features, with given weights."""

    feature_dim = FEATURE_DIM

    def __init__(
        self, state_dict: Mapping[str, Tensor], profile: FIDProfile = FID_PROFILES["pytorch-fid"]
    ) -> None:
        """Take the entries of `profile.weights`; classifiers and norm counters are not used."""
        super().__init__()
        self.profile = profile
        # torchvision's file holds a second classifier; in the other one it would be foreign.
        unused = ("fc.", "AuxLogits.") if profile.network == TORCHVISION else ("fc.",)
        used = {
            name: tensor
            for name, tensor in state_dict.items()
            if not name.startswith(unused) and not name.endswith(".num_batches_tracked")
        }
        # On "meta" no random initialisation is drawn that the weights would overwrite at once.
        with torch.device("meta"):
            self.network = InceptionV3(profile.network)
        if problem := misfit(used, self.network.state_dict()):
            raise UserError(
                f"weights do not fit the Inception network of FID ({problem}); "
                f"use {profile.weights.file_name} from {profile.weights.origin}"
            )
        self.network.to_empty(device="cpu").load_state_dict(used)
        self.requires_grad_(False)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) uint8, or floats in [0, 1], -> (N, 2048) float32."""
        features: Tensor = self.network(self.profile.network_input(images))
        return features
