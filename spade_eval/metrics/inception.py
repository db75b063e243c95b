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
from spade_eval.weights import WeightFile

__all__ = ["FEATURE_DIM", "InceptionFeatures"]

_NAMES_SHOWN = 5


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
        _require_same_entries(used, self.network.state_dict(), profile.weights)
        self.network.to_empty(device="cpu").load_state_dict(used)
        self.requires_grad_(False)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) uint8, or floats in [0, 1], -> (N, 2048) float32."""
        features: Tensor = self.network(self.profile.network_input(images))
        return features


def _require_same_entries(
    given: Mapping[str, Tensor], expected: Mapping[str, Tensor], weights: WeightFile
) -> None:
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
            f"use {weights.file_name} from {weights.origin}"
        )


def _summary(kind: str, names: list[str]) -> str:
    shown = ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
    return f"{len(names)} {kind} ({shown})"
