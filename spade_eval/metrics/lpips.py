# SPDX-License-Identifier: Apache-2.0
"""LPIPS (Zhang et al., CVPR 2018), version 0.1 over AlexNet: how unlike two images look.

Features after each of the five rectifiers are divided by their length over the channels; squared
differences are weighted by the learnt, non-negative numbers of one 1x1 convolution a layer, and
averaged over the image; the five values add up. The backbone is torchvision's AlexNet. The two
forms in use differ in where they guard that division: the `lpips` package adds 1e-10 to the length,
the code of StarGAN v2, by which the diversity of SDM and SCDM was measured, to its square.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from spade_eval.errors import UserError, torchvision_that_fits
from spade_eval.models.mismatch import mismatch
from spade_eval.weights import ALEXNET, LPIPS_LINEAR, WeightFile

LPIPSForm = Literal["lpips", "stargan-v2"]

_CHANNELS = (64, 192, 384, 256, 256)
_LAST_RECTIFIER = 12  # a pool follows
_EPSILON = 1e-10
# Of images in [-1, 1]; rounded from ImageNet's by the authors.
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
_LEAST_SIDE = 31  # of which AlexNet's last layer still sees a pixel


class LPIPS(nn.Module):
    """Distance of images in [0, 1], with given weights."""

    shift: Tensor
    scale: Tensor
    title: ClassVar[str] = "LPIPS over AlexNet"
    files: ClassVar[tuple[WeightFile, WeightFile]] = (ALEXNET, LPIPS_LINEAR)  # trunk, 1x1 layers

    def __init__(
        self,
        backbone: Mapping[str, Tensor],
        linear: Mapping[str, Tensor],
        form: LPIPSForm = "lpips",
    ) -> None:
        """`backbone` are the entries of `ALEXNET`, `linear` those of `LPIPS_LINEAR`."""
        super().__init__()
        if form not in get_args(LPIPSForm):
            raise UserError(f"no LPIPS is called {form!r}. Known: {', '.join(get_args(LPIPSForm))}")
        self.form = form
        with torch.device("meta"):
            self.features = self.trunk()
            self.linear = nn.ModuleList(nn.Conv2d(width, 1, 1, bias=False) for width in _CHANNELS)
        trunk = {name: value for name, value in backbone.items() if name.startswith("features.")}
        self._load(self.features, trunk, "features.", self.files[0])
        layers = {
            f"linear.{name.removeprefix('lin').replace('.model.1', '')}": value
            for name, value in linear.items()
        }
        self._load(self.linear, layers, "linear.", self.files[1])
        self.register_buffer("shift", torch.tensor(_SHIFT).view(3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(_SCALE).view(3, 1, 1), persistent=False)
        self.requires_grad_(False)
        self.eval()

    @staticmethod
    def trunk() -> nn.Sequential:
        """Return the layers of the backbone up to the fifth rectifier, without weights."""
        with torchvision_that_fits():
            from torchvision.models import alexnet
        layers: nn.Sequential = alexnet(weights=None).features[:_LAST_RECTIFIER]
        return layers

    def forward(self, images: Tensor, others: Tensor) -> Tensor:
        """Compare two (N, 3, H, W) in [0, 1] -> (N,) distances, 0 and up."""
        return self.compare(self.describe(images), self.describe(others))

    def describe(self, images: Tensor) -> list[Tensor]:
        """Map (N, 3, H, W) in [0, 1] -> features of five layers, of length 1 over the channels."""
        if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
            raise ValueError(
                f"images are {tuple(images.shape)} {images.dtype}, expected (N, 3, H, W) floats"
            )
        if min(images.shape[-2:]) < _LEAST_SIDE:
            raise ValueError(
                f"images are {tuple(images.shape[-2:])}, expected at least {_LEAST_SIDE} a side"
            )
        low, high = images.aminmax()
        if not (low >= 0 and high <= 1):
            raise ValueError(f"images have values in [{low:.4g}, {high:.4g}], expected [0, 1]")
        x = (2 * images.float() - 1 - self.shift) / self.scale
        described = []
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.ReLU):
                described.append(self._unit_length(x))
        return described

    def compare(self, described: list[Tensor], other: list[Tensor]) -> Tensor:
        """Compute (N,) distances of images that `describe` has seen."""
        total = described[0].new_zeros(len(described[0]))
        for layer, x, y in zip(self.linear, described, other, strict=True):
            total = total + layer((x - y).square()).mean(dim=(1, 2, 3))
        return total

    def _unit_length(self, x: Tensor) -> Tensor:
        squared = x.square().sum(dim=1, keepdim=True)
        if self.form == "stargan-v2":
            return x * (squared + _EPSILON).rsqrt()
        return x / (squared.sqrt() + _EPSILON)

    def _load(
        self, module: nn.Module, given: Mapping[str, Tensor], prefix: str, weights: WeightFile
    ) -> None:
        """Fill a module made on "meta"; what does not fit is named together."""
        expected = {prefix + name: tensor for name, tensor in module.state_dict().items()}
        if problem := mismatch(given, expected):
            raise UserError(
                f"weights do not fit {self.title} ({problem}); "
                f"use {weights.file_name} from {weights.origin}"
            )
        module.to_empty(device="cpu")
        module.load_state_dict({name.removeprefix(prefix): value for name, value in given.items()})
