# SPDX-License-Identifier: Apache-2.0
"""DeepLabV2 on a ResNet-101 with three input scales: the segmenter for COCO-Stuff (182 classes).

Chen et al., "DeepLab: Semantic Image Segmentation with Deep Convolutional Nets, Atrous Convolution,
and Fully Connected CRFs", PAMI 2018, in the PyTorch form whose COCO-Stuff 164k weights the papers
score with (kazuto1011/deeplab-pytorch; no CRF). Modules are named as in its weight files.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.segmenters.eight_bit import ByteNormalization, minus_mean, to_bytes

# Blue, green, red on 0..255; nothing is divided.
MEAN_BGR = (104.008, 116.669, 122.675)
_ATROUS_RATES = (6, 12, 18, 24)
# Width of a stage over base_channels, stride and dilation; the stride is that of the first 1x1.
_STAGES = ((1, 1, 1), (2, 2, 1), (4, 1, 2), (8, 1, 4))


class DeepLabV2(nn.Module):
    """Image in [0, 1] to logits at the image's size, which is the size it is evaluated at."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        num_classes: int = 182
        blocks: tuple[int, int, int, int] = (3, 4, 23, 3)
        base_channels: int = 64
        # Inputs besides the full one; () is the plain network.
        scales: tuple[float, ...] = (0.5, 0.75)
        # Where the pixels of a smaller input lie: by the ratio of the two sizes, as in torch before
        # 1.6 and so in the published scores, or by the nominal factor, as later. They differ for
        # sizes that are not multiples of 4.
        sampling: Literal["ratio", "nominal"] = "ratio"

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.num_classes = config.num_classes
        self.normalization = ByteNormalization(minus_mean(MEAN_BGR), bgr=True)
        self.base = _network(config)

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, 3, H, W) in [0, 1], 8-bit levels -> (N, num_classes, H, W) logits."""
        return _resize(self.logits(self.network_input(to_bytes(images))), images)

    def network_input(self, pixels: Tensor) -> Tensor:
        """Map (N, 3, H, W) uint8 RGB -> (N, 3, H, W) BGR minus the mean; nothing is resized."""
        y: Tensor = self.normalization(pixels)
        return y

    def logits(self, x: Tensor) -> Tensor:
        """Map normalised BGR -> (N, num_classes, H / 8 + 1, W / 8 + 1), the maximum over scales."""
        logits: Tensor = self.base(x)
        full = logits
        for scale in self.config.scales:
            logits = torch.maximum(logits, _resize(self.base(self._shrink(x, scale)), full))
        return logits

    def _shrink(self, x: Tensor, scale: float) -> Tensor:
        return F.interpolate(
            x,
            scale_factor=scale,
            mode="bilinear",
            align_corners=False,
            recompute_scale_factor=self.config.sampling == "ratio",
        )


def renamed(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give entries of files released before 2019-02 (`scale.`, `proj`) the later names."""
    names = {}
    for name, tensor in state_dict.items():
        if name.startswith("scale."):
            name = "base." + name.removeprefix("scale.")
        names[name.replace(".proj.", ".shortcut.")] = tensor
    return names


def _network(config: DeepLabV2.Config) -> nn.Sequential:
    """ResNet of output stride 8 and the atrous pyramid, named layer1 to layer5 and aspp."""
    width = config.base_channels
    stem = _conv_norm(3, width, kernel_size=7, stride=2)
    # Rounding the size up makes maps one larger than an eighth: 256 -> 33.
    pool = nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True)
    layers: dict[str, nn.Module] = {
        "layer1": nn.Sequential(OrderedDict(conv1=stem, pool=pool)),
    }
    for number, ((multiplier, stride, dilation), blocks) in enumerate(
        zip(_STAGES, config.blocks, strict=True), start=2
    ):
        middle = multiplier * config.base_channels
        stage: dict[str, nn.Module] = {}
        for block in range(blocks):
            first = block == 0
            stage[f"block{block + 1}"] = _Bottleneck(
                width, middle, stride if first else 1, dilation, shortcut=first
            )
            width = 4 * middle
        layers[f"layer{number}"] = nn.Sequential(OrderedDict(stage))
    layers["aspp"] = _AtrousPyramid(width, config.num_classes)
    return nn.Sequential(OrderedDict(layers))


class _Bottleneck(nn.Module):
    """The bottleneck of the first Caffe ResNets: its stride is in the first convolution."""

    def __init__(
        self, in_channels: int, channels: int, stride: int, dilation: int, shortcut: bool
    ) -> None:
        super().__init__()
        self.reduce = _conv_norm(in_channels, channels, kernel_size=1, stride=stride)
        self.conv3x3 = _conv_norm(channels, channels, kernel_size=3, dilation=dilation)
        self.increase = _conv_norm(channels, 4 * channels, kernel_size=1, relu=False)
        self.shortcut = (
            _conv_norm(in_channels, 4 * channels, kernel_size=1, stride=stride, relu=False)
            if shortcut
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.increase(self.conv3x3(self.reduce(x)))
        y += self.shortcut(x)
        return F.relu_(y)


class _AtrousPyramid(nn.Module):
    """Sum of four dilated classifiers."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        for index, rate in enumerate(_ATROUS_RATES):
            classifier = nn.Conv2d(in_channels, num_classes, 3, padding=rate, dilation=rate)
            self.add_module(f"c{index}", classifier)

    def forward(self, x: Tensor) -> Tensor:
        first, *others = self.children()
        logits: Tensor = first(x)
        for classifier in others:
            logits = logits + classifier(x)
        return logits


def _conv_norm(
    in_channels: int,
    channels: int,
    *,
    kernel_size: int,
    stride: int = 1,
    dilation: int = 1,
    relu: bool = True,
) -> nn.Sequential:
    convolution = nn.Conv2d(
        in_channels,
        channels,
        kernel_size,
        stride,
        padding=dilation * (kernel_size // 2),
        dilation=dilation,
        bias=False,
    )
    parts: dict[str, nn.Module] = {"conv": convolution, "bn": nn.BatchNorm2d(channels)}
    if relu:
        parts["relu"] = nn.ReLU(inplace=True)
    return nn.Sequential(OrderedDict(parts))


def _resize(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)
