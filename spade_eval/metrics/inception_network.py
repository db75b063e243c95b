# SPDX-License-Identifier: Apache-2.0
"""Inception v3 (Szegedy et al., CVPR 2016) as TensorFlow's 2015-12-05 graph computes it.

FID is defined by this graph. It differs from the Inception v3 of torchvision, whose names of
weights it shares, in two points, which `InceptionV3.Config` states: average pools do not count
padding, and the pool branch of the last block takes maxima. How images enter is the matter of the
FID profiles. The classifiers are left out.

Everything is fixed: weights are not trained, norms use the stored statistics, and `train()` changes
nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FEATURE_DIM = 2048
_NORM_EPS = 1e-3

Kernel = int | tuple[int, int]


class _Conv(NamedTuple):
    """One convolution of a branch, by its name in the weight file."""

    name: str
    channels: int
    kernel: Kernel
    stride: int = 1  # 2: no padding, as in the blocks that halve the size


class FixedNorm(nn.Module):
    """Batch normalization with stored statistics, whatever the mode of the module."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        for name in ("weight", "bias", "running_mean", "running_var"):
            self.register_buffer(name, torch.empty(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> the same shape."""
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, eps=_NORM_EPS
        )


class ConvNorm(nn.Module):
    """Convolution without bias, norm, relu."""

    def __init__(
        self, in_channels: int, channels: int, kernel: Kernel, stride: int = 1, padded: bool = True
    ) -> None:
        super().__init__()
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (height // 2, width // 2) if padded else 0
        self.conv = nn.Conv2d(in_channels, channels, (height, width), stride, padding, bias=False)
        self.bn = FixedNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, channels, H', W'), not negative."""
        return F.relu(self.bn(self.conv(x)))


class Pool(nn.Module):
    """Pool of stride 1 over 3x3: a maximum, or an average over the pixels or over all 9 places."""

    def __init__(self, kind: Literal["average", "maximum"], counts_padding: bool) -> None:
        super().__init__()
        self.kind = kind
        self.counts_padding = counts_padding

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> the same shape."""
        if self.kind == "maximum":
            return F.max_pool2d(x, 3, stride=1, padding=1)
        return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=self.counts_padding)


class Mixed(nn.Module):
    """Chains of convolutions side by side, and a pool branch; outputs concatenated in order.

    With `pool_channels` the pool is `pool` followed by a 1x1 convolution; without, it is a maximum
    of stride 2.
    """

    def __init__(
        self,
        in_channels: int,
        chains: Sequence[Sequence[_Conv]],
        pool: Pool | None = None,
        pool_channels: int = 0,
    ) -> None:
        super().__init__()
        self._names = [[conv.name for conv in chain] for chain in chains]
        for chain in chains:
            channels = in_channels
            for conv in chain:
                module = ConvNorm(
                    channels, conv.channels, conv.kernel, conv.stride, padded=conv.stride == 1
                )
                self.add_module(conv.name, module)
                channels = conv.channels
        self.pool = pool
        self.branch_pool = ConvNorm(in_channels, pool_channels, 1) if pool else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, sum of channels, H', W')."""
        outputs = []
        for names in self._names:
            branch = x
            for name in names:
                branch = self.get_submodule(name)(branch)
            outputs.append(branch)
        if self.pool is None or self.branch_pool is None:
            outputs.append(F.max_pool2d(x, 3, stride=2))
        else:
            outputs.append(self.branch_pool(self.pool(x)))
        return torch.cat(outputs, dim=1)


class MixedForked(nn.Module):
    """The widest blocks: two branches end in a 1x3 and a 3x1 convolution side by side."""

    def __init__(self, in_channels: int, pool: Pool) -> None:
        super().__init__()
        self.pool = pool
        self.branch1x1 = ConvNorm(in_channels, 320, 1)
        self.branch3x3_1 = ConvNorm(in_channels, 384, 1)
        self.branch3x3_2a = ConvNorm(384, 384, (1, 3))
        self.branch3x3_2b = ConvNorm(384, 384, (3, 1))
        self.branch3x3dbl_1 = ConvNorm(in_channels, 448, 1)
        self.branch3x3dbl_2 = ConvNorm(448, 384, 3)
        self.branch3x3dbl_3a = ConvNorm(384, 384, (1, 3))
        self.branch3x3dbl_3b = ConvNorm(384, 384, (3, 1))
        self.branch_pool = ConvNorm(in_channels, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, 2048, H, W)."""
        single = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        outputs = (
            self.branch1x1(x),
            self.branch3x3_2a(single),
            self.branch3x3_2b(single),
            self.branch3x3dbl_3a(double),
            self.branch3x3dbl_3b(double),
            self.branch_pool(self.pool(x)),
        )
        return torch.cat(outputs, dim=1)


def _mixed_35(in_channels: int, pool: Pool, pool_channels: int) -> Mixed:
    """A block at 35x35."""
    chains = (
        (_Conv("branch1x1", 64, 1),),
        (_Conv("branch5x5_1", 48, 1), _Conv("branch5x5_2", 64, 5)),
        (
            _Conv("branch3x3dbl_1", 64, 1),
            _Conv("branch3x3dbl_2", 96, 3),
            _Conv("branch3x3dbl_3", 96, 3),
        ),
    )
    return Mixed(in_channels, chains, pool, pool_channels)


def _mixed_35_to_17(in_channels: int) -> Mixed:
    chains = (
        (_Conv("branch3x3", 384, 3, stride=2),),
        (
            _Conv("branch3x3dbl_1", 64, 1),
            _Conv("branch3x3dbl_2", 96, 3),
            _Conv("branch3x3dbl_3", 96, 3, stride=2),
        ),
    )
    return Mixed(in_channels, chains)


def _mixed_17(width: int, pool: Pool) -> Mixed:
    """A block at 17x17; `width` channels between the factors of its 7x7 convolutions."""
    chains = (
        (_Conv("branch1x1", 192, 1),),
        (
            _Conv("branch7x7_1", width, 1),
            _Conv("branch7x7_2", width, (1, 7)),
            _Conv("branch7x7_3", 192, (7, 1)),
        ),
        (
            _Conv("branch7x7dbl_1", width, 1),
            _Conv("branch7x7dbl_2", width, (7, 1)),
            _Conv("branch7x7dbl_3", width, (1, 7)),
            _Conv("branch7x7dbl_4", width, (7, 1)),
            _Conv("branch7x7dbl_5", 192, (1, 7)),
        ),
    )
    return Mixed(768, chains, pool, pool_channels=192)


def _mixed_17_to_8(in_channels: int) -> Mixed:
    chains = (
        (_Conv("branch3x3_1", 192, 1), _Conv("branch3x3_2", 320, 3, stride=2)),
        (
            _Conv("branch7x7x3_1", 192, 1),
            _Conv("branch7x7x3_2", 192, (1, 7)),
            _Conv("branch7x7x3_3", 192, (7, 1)),
            _Conv("branch7x7x3_4", 192, 3, stride=2),
        ),
    )
    return Mixed(in_channels, chains)


class InceptionV3(nn.Module):
    """Trunk of Inception v3; modules are named and ordered as in the weight file."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Where the two graphs differ; the defaults are TensorFlow's."""

        averages_count_padding: bool = False
        last_pool: Literal["average", "maximum"] = "maximum"

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        self.config = config = config or self.Config()
        average = Pool("average", config.averages_count_padding)
        last_pool = Pool(config.last_pool, config.averages_count_padding)
        self.Conv2d_1a_3x3 = ConvNorm(3, 32, 3, stride=2, padded=False)
        self.Conv2d_2a_3x3 = ConvNorm(32, 32, 3, padded=False)
        self.Conv2d_2b_3x3 = ConvNorm(32, 64, 3)
        self.maxpool1 = nn.MaxPool2d(3, stride=2)
        self.Conv2d_3b_1x1 = ConvNorm(64, 80, 1)
        self.Conv2d_4a_3x3 = ConvNorm(80, 192, 3, padded=False)
        self.maxpool2 = nn.MaxPool2d(3, stride=2)
        self.Mixed_5b = _mixed_35(192, average, pool_channels=32)
        self.Mixed_5c = _mixed_35(256, average, pool_channels=64)
        self.Mixed_5d = _mixed_35(288, average, pool_channels=64)
        self.Mixed_6a = _mixed_35_to_17(288)
        self.Mixed_6b = _mixed_17(128, average)
        self.Mixed_6c = _mixed_17(160, average)
        self.Mixed_6d = _mixed_17(160, average)
        self.Mixed_6e = _mixed_17(192, average)
        self.Mixed_7a = _mixed_17_to_8(768)
        self.Mixed_7b = MixedForked(1280, average)
        self.Mixed_7c = MixedForked(FEATURE_DIM, last_pool)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 299, 299) in [-1, 1] -> (N, 2048): spatial mean of the last block."""
        for stage in self.children():
            x = stage(x)
        return x.mean(dim=(2, 3))


TENSORFLOW_2015 = InceptionV3.Config()
"""The graph by which FID is defined; weights `pt_inception-2015-12-05`."""

TORCHVISION = InceptionV3.Config(averages_count_padding=True, last_pool="average")
"""The graph of torchvision, with weights trained on ImageNet; FIDs until May 2019 used it."""
