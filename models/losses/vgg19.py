# SPDX-License-Identifier: Apache-2.0
"""VGG-19 as a measure: torchvision's network with weights that the caller gives, frozen.

Nothing is downloaded. Torchvision is imported when the first network is built.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from spade_eval.errors import torchvision_that_fits
from spade_eval.models.mismatch import mismatch

# Of the convolutions and pools that torchvision lists, those up to a convolution.
CONV5_1, CONV5_2, ALL = 17, 18, 21


class FrozenVGG19(nn.Module):
    """Some activations of VGG-19; never trained, always in eval mode."""

    def __init__(
        self, vgg19: Mapping[str, Tensor], trunk: nn.Sequential, taps: Sequence[int]
    ) -> None:
        """Load torchvision's state dict; entries beyond the trunk are not needed.

        `taps` are the positions of the trunk whose outputs are given. `ValueError` for weights of
        another network.
        """
        super().__init__()
        self.features, self.taps = trunk, frozenset(taps)
        wanted = self.state_dict()
        given = {name: tensor for name, tensor in vgg19.items() if name in wanted}
        if problem := mismatch(given, wanted):
            raise ValueError(
                f"these are not torchvision's VGG-19 weights ({problem}); "
                "give the state dict of torchvision.models.vgg19"
            )
        self.load_state_dict(given)
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "FrozenVGG19":
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


def vgg19_trunk(upto: int) -> nn.Sequential:
    """Build the start of torchvision's `features`, with the same indices and fresh weights.

    `UserError`, a `ValueError`, where torchvision does not fit torch.
    """
    with torchvision_that_fits():
        from torchvision.models.vgg import cfgs, make_layers
    # Not `vgg19()`, which would draw the classifier's 124 million weights as well.
    layers: nn.Sequential = make_layers(cfgs["E"][:upto])
    return layers
