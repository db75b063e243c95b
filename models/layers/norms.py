# SPDX-License-Identifier: Apache-2.0
"""Every normalisation that the paper compares, behind one call: `apply_norm(norm, x, semantics)`.

Unconditional layers are torch's own with an affine part. Layers that read the semantic map derive
from `ConditionalNorm`. SFT and AdaIN read a map or a style vector that one small network of the
generator makes from the semantic map (`make_condition`); the layers get it as a soft semantic map.
"""

import math
from typing import Literal, get_args

import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.models.semantics import SemanticMap

NormKind = Literal[
    "spade", "batch", "syncbatch", "instance", "instance_exact", "layer", "group",
    "conditional_batch", "adain", "sft", "clade", "clade_icpe", "weight", "local_response",
]  # fmt: skip
ParamFreeNorm = Literal["instance", "batch", "syncbatch", "group"]

SFT_CHANNELS = 32
STYLE_CHANNELS = 64


class ConditionalNorm(nn.Module):
    """Base of the layers whose forward is `(x (N, C, H, W), semantics) -> (N, C, H, W)`."""

    appended_channels = 0  # that the layer returns behind the C of x


def appended_channels(norm: nn.Module) -> int:
    """Return how many channels more than its input a layer returns."""
    return norm.appended_channels if isinstance(norm, ConditionalNorm) else 0


def apply_norm(norm: nn.Module, x: Tensor, semantics: SemanticMap) -> Tensor:
    """Call a layer, with the semantic map if it takes one."""
    normalised: Tensor = norm(x, semantics) if isinstance(norm, ConditionalNorm) else norm(x)
    return normalised


class LocalBatchNorm2d(nn.BatchNorm2d):
    """Batch norm that keeps its per-process statistics: set-up code must not synchronise it."""


class ShiftExactInstanceNorm2d(nn.Module):
    """Instance norm, no affine part, of x minus its first pixel.

    Mathematically the same layer, but a constant channel becomes exactly zero instead of the
    rounding error of its mean, which the following layers would amplify to order one.
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.instance_norm(x - x[:, :, :1, :1])


def param_free_norm(kind: ParamFreeNorm, channels: int) -> nn.Module:
    """Build a normalisation without affine part, eps 1e-5: the first half of a SPADE layer."""
    if kind == "instance":
        return nn.InstanceNorm2d(channels, affine=False)
    if kind == "batch":
        return LocalBatchNorm2d(channels, affine=False)
    if kind == "syncbatch":
        return nn.BatchNorm2d(channels, affine=False)
    if kind == "group":
        return nn.GroupNorm(_groups(channels), channels, affine=False)
    known = ", ".join(get_args(ParamFreeNorm))
    raise ValueError(f"param_free_norm is {kind!r}, expected one of {known}")


class ClassConditionalBatchNorm(ConditionalNorm):
    """Batch norm times (1 + gain[y]) plus bias[y] (BigGAN form; Dumoulin et al., 2017).

    One gain and bias an image: the class tables averaged by the label's share of the map, which
    for a map of one label is that label's row.
    """

    def __init__(self, channels: int, num_labels: int) -> None:
        super().__init__()
        self.param_free_norm = param_free_norm("syncbatch", channels)
        self.gain = nn.Embedding(num_labels, channels)
        self.bias = nn.Embedding(num_labels, channels)

    def forward(self, x: Tensor, semantics: SemanticMap) -> Tensor:
        fractions = semantics.label_fractions()
        gain = (fractions @ self.gain.weight)[:, :, None, None]
        bias = (fractions @ self.bias.weight)[:, :, None, None]
        normalised: Tensor = self.param_free_norm(x)
        return normalised * (1 + gain) + bias


class AdaptiveInstanceNorm(ConditionalNorm):
    """Instance norm, then a scale (no "1 +") and shift from a style vector (Huang & Belongie 2017).

    The style (N, S, 1, 1) comes as a soft semantic map; there is no variation over pixels.
    """

    def __init__(self, channels: int, style_channels: int = STYLE_CHANNELS) -> None:
        super().__init__()
        self.param_free_norm = param_free_norm("instance", channels)
        self.to_scale = nn.Linear(style_channels, channels)
        self.to_shift = nn.Linear(style_channels, channels)

    def forward(self, x: Tensor, semantics: SemanticMap) -> Tensor:
        style = semantics.at((1, 1)).flatten(1)
        scale, shift = self.to_scale(style), self.to_shift(style)
        normalised: Tensor = self.param_free_norm(x)
        return normalised * scale[:, :, None, None] + shift[:, :, None, None]  # Eq. 8


class SpatialFeatureTransform(ConditionalNorm):
    """x * (1 + scale) + shift from a condition map, with no normalisation (Wang et al., CVPR 2018).

    `scale` and `shift` are each conv1x1, leaky ReLU 0.1, conv1x1 of the condition.
    """

    def __init__(
        self, channels: int, condition_channels: int = SFT_CHANNELS, hidden_channels: int = 32
    ) -> None:
        super().__init__()
        self.SFT_scale_conv0 = nn.Conv2d(condition_channels, hidden_channels, 1)
        self.SFT_scale_conv1 = nn.Conv2d(hidden_channels, channels, 1)
        self.SFT_shift_conv0 = nn.Conv2d(condition_channels, hidden_channels, 1)
        self.SFT_shift_conv1 = nn.Conv2d(hidden_channels, channels, 1)

    def forward(self, x: Tensor, semantics: SemanticMap) -> Tensor:
        condition = semantics.at((x.shape[-2], x.shape[-1]))
        scale = self.SFT_scale_conv1(F.leaky_relu(self.SFT_scale_conv0(condition), 0.1))
        shift = self.SFT_shift_conv1(F.leaky_relu(self.SFT_shift_conv0(condition), 0.1))
        return x * (1 + scale) + shift


class Condition(nn.Module):
    """A network from the semantic map to what the layers of one generator are conditioned on."""

    def __init__(self, network: nn.Module, pooled: bool) -> None:
        super().__init__()
        self.network = network
        self.pooled = pooled  # the network sees the share of each label instead of the map

    def forward(self, semantics: SemanticMap) -> SemanticMap:
        source = semantics.full
        if self.pooled:
            source = semantics.label_fractions()[:, :, None, None]
        return SemanticMap.from_tensor(self.network(source))


def make_condition(kind: NormKind, num_labels: int) -> Condition | None:
    """Build the shared condition network that layers of this kind need, or return None."""
    if kind == "sft":  # at a quarter of the resolution, as in the SFT paper
        layers: list[nn.Module] = [nn.Conv2d(num_labels, 128, 4, stride=4), nn.LeakyReLU(0.1)]
        for _ in range(3):
            layers += [nn.Conv2d(128, 128, 1), nn.LeakyReLU(0.1)]
        return Condition(nn.Sequential(*layers, nn.Conv2d(128, SFT_CHANNELS, 1)), pooled=False)
    if kind == "adain":
        layers = [nn.Conv2d(num_labels, STYLE_CHANNELS, 1), nn.ReLU()]
        layers += [nn.Conv2d(STYLE_CHANNELS, STYLE_CHANNELS, 1), nn.ReLU()]
        return Condition(nn.Sequential(*layers), pooled=True)
    return None


def unconditional_norm(kind: NormKind, channels: int) -> nn.Module:
    """Build torch's own layer as the published baselines set it; instance has no affine."""
    if kind == "batch":
        return LocalBatchNorm2d(channels)
    if kind == "syncbatch":
        return nn.BatchNorm2d(channels)
    if kind == "instance":
        return nn.InstanceNorm2d(channels)
    if kind == "instance_exact":
        return ShiftExactInstanceNorm2d()
    if kind == "layer":  # over channels and pixels of one image
        return nn.GroupNorm(1, channels)
    if kind == "group":
        return nn.GroupNorm(_groups(channels), channels)
    if kind == "local_response":
        # Over 5 channels as Krizhevsky et al. (2012) set it; torch divides their 1e-4 by the 5.
        return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)
    if kind == "weight":  # of the convolutions instead; see `models/layers/weight_norm.py`
        return nn.Identity()
    raise ValueError(f"norm is {kind!r}, expected one of {', '.join(get_args(NormKind))}")


def _groups(channels: int) -> int:
    """Return 32 (Wu & He, 2018), or fewer where 32 does not divide the width."""
    return math.gcd(32, channels)
