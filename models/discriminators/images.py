# SPDX-License-Identifier: Apache-2.0
"""The discriminators of MUNIT and UNIT: several scales of an image alone, without norms.

Huang et al., ECCV 2018, Appendix B.2; least squares (Mao et al., 2017).
"""

import itertools
from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.models.layers.domains import PaddedConv
from spade_eval.models.released import Hints, Published, Shapes, numbered


class ImageDiscriminator(nn.Module):
    """Logits of `num_scales` networks of convolutions that halve, full resolution first."""

    published: ClassVar[Published]

    @dataclass(frozen=True, kw_only=True)
    class Config:
        base_channels: int = 64
        num_layers: int = 4  # that halve, before the last one
        num_scales: int = 3

        @property
        def smallest_side(self) -> int:
            """Shortest side of an image of which every reflection has something to reflect."""
            return 2 ** (self.num_layers + self.num_scales - 1)

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.scales = nn.ModuleList(_scale(config) for _ in range(config.num_scales))

    def forward(self, image: Tensor) -> list[Tensor]:
        """Map (N, 3, H, W) in [-1, 1] -> (N, 1, h, w) logits of every scale."""
        shortest, smallest = min(image.shape[-2:]), self.config.smallest_side
        if shortest < smallest:
            raise ValueError(
                f"an image of {image.shape[-2]} x {image.shape[-1]} has a side of {shortest}, "
                f"expected at least {smallest}, which the discriminators halve; set a larger size"
            )
        logits = []
        for index, network in enumerate(self.scales):
            if index:
                image = F.avg_pool2d(image, 3, stride=2, padding=1, count_include_pad=False)
            logits.append(network(image))
        return logits


def _scale(config: ImageDiscriminator.Config) -> nn.Sequential:
    widths = [3, *(config.base_channels * 2**depth for depth in range(config.num_layers))]
    layers: list[nn.Module] = [
        PaddedConv(before, after, 4, stride=2, activation="leaky")
        for before, after in itertools.pairwise(widths)
    ]
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 1))


def _config_of(tensors: Shapes, hints: Hints) -> ImageDiscriminator.Config:
    """Infer the configuration of a state dict with published names."""
    return ImageDiscriminator.Config(
        base_channels=tensors["cnns.0.0.conv.weight"].shape[0],
        num_layers=len(numbered(tensors, "cnns.0.", ".conv.weight")),
        num_scales=len(numbered(tensors, "cnns.", ".conv.weight")),
    )


ImageDiscriminator.published = Published(
    recognises=lambda tensors: "cnns.0.0.conv.weight" in tensors,
    config_of=_config_of,
    names=lambda config: {"scales": "cnns"},
)
