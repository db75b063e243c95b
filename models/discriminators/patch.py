# SPDX-License-Identifier: Apache-2.0
"""The patch discriminator of pix2pix and CycleGAN, of 70 x 70 pixels.

Isola et al., CVPR 2017, Sec. 3.2 and Appendix; Zhu et al., ICCV 2017, Sec. 7.2. Convolutions with
4x4 kernels, all but the last two of stride 2; every logit judges the patch that it sees.
"""

import itertools
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.models.labels import Size
from spade_eval.models.layers.norms import unconditional_norm
from spade_eval.models.released import Hints, Published, Shapes

PatchNorm = Literal["batch", "instance"]

_WIDEST = 8  # in units of base_channels
_SLOPE = 0.2


class PatchGANDiscriminator(nn.Module):
    """Logits of overlapping patches, no sigmoid."""

    published: ClassVar[Published]
    smallest = 24  # pixels a side that three halvings and two 4x4 convolutions leave a logit of

    @dataclass(frozen=True, kw_only=True)
    class Config:
        num_channels: int  # of the image and of what is judged with it
        base_channels: int = 64
        num_layers: int = 3  # convolutions of stride 2
        norm: PatchNorm = "batch"

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        # Three of stride 2 and one of stride 1, then the logits.
        levels = range(config.num_layers + 1)
        widths = [config.base_channels * min(2**level, _WIDEST) for level in levels]
        norms: list[PatchNorm | None] = [None, *[config.norm] * config.num_layers]
        self.layers = nn.ModuleList(
            PatchConv(*channels, stride=1 if level == levels[-1] else 2, norm=norms[level])
            for level, channels in enumerate(itertools.pairwise([config.num_channels, *widths]))
        )
        self.to_logits = nn.Conv2d(widths[-1], 1, 4, padding=1)

    @classmethod
    def require_size(cls, size: Size) -> None:
        """Raise `ValueError` for images of which the published three layers leave nothing."""
        if min(size) < cls.smallest:
            raise ValueError(
                f"the size is {size[0]} x {size[1]}, expected at least {cls.smallest} pixels a "
                "side: the patch discriminator has no logit for smaller images; give another size"
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, num_channels, H, W) -> (N, 1, H/8 - 2, W/8 - 2) logits."""
        for layer in self.layers:
            x = layer(x)
        logits: Tensor = self.to_logits(x)
        return logits


class PatchConv(nn.Module):
    """Convolution, norm, leaky ReLU; its bias is left out where an affine norm follows."""

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, norm: PatchNorm | None
    ) -> None:
        super().__init__()
        bias = norm != "batch"
        self.conv = nn.Conv2d(in_channels, out_channels, 4, stride=stride, padding=1, bias=bias)
        self.norm: nn.Module = nn.Identity()
        if norm is not None:
            kind = {"batch": "syncbatch", "instance": "instance"}[norm]
            self.norm = unconditional_norm(kind, out_channels)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) -> (N, out_channels, h, w)."""
        return F.leaky_relu(self.norm(self.conv(x)), _SLOPE)


def published_names(config: PatchGANDiscriminator.Config) -> dict[str, str]:
    """Map our module names to the published ones: convolution, norm, activation in one sequence."""
    names = {"to_logits": f"model.{3 * config.num_layers + 2}"}
    for level in range(config.num_layers + 1):
        index = 3 * level - 1 if level else 0
        names[f"layers.{level}.conv"] = f"model.{index}"
        names[f"layers.{level}.norm"] = f"model.{index + 1}"
    return names


def _recognised(tensors: Shapes) -> bool:
    """Return whether its first convolution is followed by an activation and the next one."""
    return {"model.0.weight", "model.0.bias", "model.2.weight"} <= set(tensors)


def _config_of(tensors: Shapes, hints: Hints) -> PatchGANDiscriminator.Config:
    """Infer the configuration of a state dict with published names."""
    base, channels, _, _ = tensors["model.0.weight"].shape
    last = max(int(name.split(".")[1]) for name in tensors if name.endswith(".weight"))
    return PatchGANDiscriminator.Config(
        num_channels=channels,
        base_channels=base,
        num_layers=(last - 2) // 3,
        norm="batch" if "model.3.weight" in tensors else "instance",
    )


PatchGANDiscriminator.published = Published(
    recognises=_recognised, config_of=_config_of, names=published_names
)
