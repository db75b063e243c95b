# SPDX-License-Identifier: Apache-2.0
"""VGG-19 and VGG-16 as measures: torchvision's networks with given weights, frozen.

Nothing is downloaded. Torchvision is imported when the first network is built.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor, nn

from spade_eval.errors import torchvision_that_fits
from spade_eval.models.mismatch import mismatch

# Of the convolutions and pools that torchvision lists, those up to a convolution.
CONV5_1, CONV5_2, ALL = 17, 18, 21
ALL_OF_VGG16 = 17  # up to conv5_3


class FrozenVGG(nn.Module):
    """Some activations of a VGG network; never trained, always in eval mode."""

    name: ClassVar[str]
    source: ClassVar[str]  # whose state dict it takes

    def __init__(
        self, weights: Mapping[str, Tensor], trunk: nn.Sequential, taps: Sequence[int]
    ) -> None:
        """Load a state dict with torchvision's names; entries beyond the trunk are not needed.

        `taps` are the positions of the trunk whose outputs are given. `ValueError` for weights of
        another network.
        """
        super().__init__()
        self.features, self.taps = trunk, frozenset(taps)
        wanted = self.state_dict()
        given = {name: tensor for name, tensor in weights.items() if name in wanted}
        if problem := mismatch(given, wanted):
            raise ValueError(
                f"these are not {self.name} weights ({problem}); give the state dict of "
                f"{self.source}"
            )
        self.load_state_dict(given)
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "FrozenVGG":
        """Stay in eval mode."""
        return super().train(False)

    def activations(self, image: Tensor) -> list[Tensor]:
        """Map (N, 3, H, W) as the method feeds it -> the activations at the taps, finest first."""
        tapped = []
        for index, layer in enumerate(self.features):
            image = layer(image)
            if index in self.taps:
                tapped.append(image)
        return tapped


class FrozenVGG19(FrozenVGG):
    """torchvision's VGG-19."""

    name = "torchvision's VGG-19"
    source = "torchvision.models.vgg19"


def vgg19_trunk(upto: int) -> nn.Sequential:
    """Build the start of torchvision's `features`, with the same indices and fresh weights.

    `UserError`, a `ValueError`, where torchvision does not fit torch.
    """
    return _trunk("E", upto)


def vgg16_trunk(upto: int = ALL_OF_VGG16) -> nn.Sequential:
    """Build the start of `features` of VGG-16 likewise."""
    return _trunk("D", upto)


def _trunk(table: str, upto: int) -> nn.Sequential:
    with torchvision_that_fits():
        from torchvision.models.vgg import cfgs, make_layers
    # Not the whole network, which would draw the classifier's 124 million weights as well.
    layers: nn.Sequential = make_layers(cfgs[table][:upto])
    return layers
