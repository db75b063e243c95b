# SPDX-License-Identifier: Apache-2.0
"""Perceptual loss on VGG-19 features (Johnson et al. 2016; pix2pixHD and SPADE, Appendix A).

As in both published codes, images in [-1, 1] enter VGG without ImageNet normalisation. The
weights are torchvision's VGG-19 (ImageNet), given by the caller; nothing is downloaded.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.errors import torchvision_that_fits
from spade_eval.models.mismatch import misfit

# relu1_1, relu2_1, relu3_1, relu4_1, relu5_1 by torchvision's positions, and their weights.
_TAPS = {1: 1 / 32, 6: 1 / 16, 11: 1 / 8, 20: 1 / 4, 29: 1.0}
_UP_TO_CONV5_1 = 17  # of the convolutions and pools that torchvision lists


class PerceptualLoss(nn.Module):
    """Weighted L1 distance of five VGG-19 activations; the network is frozen, in eval mode."""

    def __init__(self, vgg19: Mapping[str, Tensor]) -> None:
        """`vgg19` is torchvision's state dict; entries beyond conv5_1 are not needed."""
        super().__init__()
        self.features = vgg19_features()
        wanted = self.state_dict()
        given = {name: tensor for name, tensor in vgg19.items() if name in wanted}
        if problem := misfit(given, wanted):
            raise ValueError(
                f"these are not torchvision's VGG-19 weights ({problem}); "
                "give the state dict of torchvision.models.vgg19"
            )
        self.load_state_dict(given)
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "PerceptualLoss":
        """Stays in eval mode."""
        return super().train(False)

    def activations(self, image: Tensor) -> list[Tensor]:
        """(N, 3, H, W) in [-1, 1] -> the five activations, finest first."""
        tapped = []
        for index, layer in enumerate(self.features):
            image = layer(image)
            if index in _TAPS:
                tapped.append(image)
        return tapped

    def per_layer(self, fake: Tensor, real: Tensor) -> Tensor:
        """(5,) unweighted L1 distances; no gradient flows to `real`."""
        with torch.no_grad():
            targets = self.activations(real)
        pairs = zip(self.activations(fake), targets, strict=True)
        # In float32 under autocast: half precision has too few bits for means.
        return torch.stack([F.l1_loss(made.float(), target.float()) for made, target in pairs])

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1], twice -> scalar."""
        distances = self.per_layer(fake, real)
        return (distances * distances.new_tensor(list(_TAPS.values()))).sum()


def vgg19_features() -> nn.Sequential:
    """Build torchvision's `features` up to relu5_1, with the same indices and fresh weights.

    `UserError`, a `ValueError`, where torchvision does not fit torch.
    """
    with torchvision_that_fits():
        from torchvision.models.vgg import cfgs, make_layers
    # Not `vgg19()`, which would draw the classifier's 124 million weights as well.
    layers: nn.Sequential = make_layers(cfgs["E"][:_UP_TO_CONV5_1])
    return layers
