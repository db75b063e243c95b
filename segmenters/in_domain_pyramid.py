# SPDX-License-Identifier: Apache-2.0
"""An in-domain network of separable convolutions: a feature pyramid (Lin et al., CVPR 2017).

It checks the verdicts of the U-Net: convolutions are depthwise and pointwise (Howard et al., 2017),
norms are of groups (Wu and He, 2018), the bottom sees means of the picture (Zhao et al., 2017), and
maps of all resolutions are added up.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.segmenters.in_domain import InDomainConfig, InDomainNetwork, resized

_GROUPS = 8
_BINS = (1, 2, 4)  # sides of the grids over which the coarsest map is averaged


class InDomainPyramid(InDomainNetwork):
    """Four resolutions, from 1/2 to 1/16."""

    title = "in-domain pyramid"

    def __init__(self, config: InDomainConfig) -> None:
        super().__init__(config)
        width = config.base_channels
        widths = (width, 2 * width, 2 * width, 3 * width)
        self.feature_dim = widths[-1] + widths[-2]
        self.fold = nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(12, width, kernel_size=1))
        before = (width, *widths[:-1])
        self.stages = nn.ModuleList(
            nn.Sequential(_block(a, b, stride=1 if place == 0 else 2), _block(b, b))
            for place, (a, b) in enumerate(zip(before, widths, strict=True))
        )
        self.context = nn.ModuleList(nn.Conv2d(widths[-1], widths[-1], 1) for _ in _BINS)
        self.lateral = nn.ModuleList(nn.Conv2d(channels, 2 * width, 1) for channels in widths)
        self.smooth = nn.ModuleList(_block(2 * width, 2 * width) for _ in widths[:-1])
        self.classify = nn.Sequential(
            nn.Conv2d(2 * width, 4 * config.num_classes, kernel_size=1), nn.PixelShuffle(2)
        )

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return maps at 1/2, 1/4, 1/8 and 1/16 of the size at which the network sees them."""
        x, maps = self.fold(self.normalised(images)), []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        means = [
            resized(pointwise(F.adaptive_avg_pool2d(x, bins)), x)
            for bins, pointwise in zip(_BINS, self.context, strict=True)
        ]
        return (*maps[:-1], F.silu(x + sum(means)))

    def decode(self, images: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """Add the maps up, from the coarsest on."""
        sides = [lateral(x) for lateral, x in zip(self.lateral, maps, strict=True)]
        x = sides.pop()
        for side, smooth in zip(reversed(sides), self.smooth, strict=True):
            x = smooth(side + resized(x, side))
        return resized(self.classify(x), images)


def _block(channels_in: int, channels_out: int, stride: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(
            channels_in, channels_in, 3, stride=stride, padding=1, groups=channels_in, bias=False
        ),
        nn.Conv2d(channels_in, channels_out, kernel_size=1, bias=False),
        nn.GroupNorm(_GROUPS, channels_out),
        nn.SiLU(),
    )
