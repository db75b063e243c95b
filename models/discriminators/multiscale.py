# SPDX-License-Identifier: Apache-2.0
"""Multi-scale patch discriminator on semantic map and image.

Wang et al., CVPR 2018, Sec. 3.2; Park et al., CVPR 2019, Fig. 13 (spectral norm added). Every
scale is one network of 4x4 convolutions; the next scale sees the average-pooled input.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.models.layers.norms import unconditional_norm
from spade_eval.models.layers.spectral import spectral_norm
from spade_eval.models.released import Hints, Published, Shapes
from spade_eval.models.semantics import SemanticMap

DiscriminatorNorm = Literal[
    "spectralinstance", "spectralbatch", "spectralsyncbatch", "spectralnone",
    "instance", "batch", "syncbatch", "none",
]  # fmt: skip

MAX_CHANNELS = 512


class MultiscaleDiscriminator(nn.Module):
    """Features and predictions of `num_scales` networks, full resolution first."""

    published: ClassVar[Published]

    @dataclass(frozen=True, kw_only=True)
    class Config:
        num_labels: int  # channels of the semantic map: classes, "unknown", instance edges
        base_channels: int = 64
        num_layers: int = 4  # convolutions before the last; pix2pixHD's "n_layers_D=3" is 4 here
        num_scales: int = 2
        norm: DiscriminatorNorm = "spectralinstance"
        last_stride: int = 1  # of the last of these layers; SEAN's halves its input as all before

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.scales = nn.ModuleList(PatchDiscriminator(config) for _ in range(config.num_scales))

    def forward(self, semantic_map: Tensor, image: Tensor) -> list[list[Tensor]]:
        """Map (N, num_labels, H, W), (N, 3, H, W) in [-1, 1] -> scales of layers, logits last."""
        channels = self.config.num_labels
        if semantic_map.shape[1] != channels or semantic_map.shape[-2:] != image.shape[-2:]:
            raise ValueError(
                f"semantic map {tuple(semantic_map.shape)} and image {tuple(image.shape)} do not "
                f"fit: expected {channels} channels (num_labels) and equal height and width"
            )
        x = torch.cat([semantic_map.to(image.dtype), image], dim=1)
        results = []
        for index, network in enumerate(self.scales):
            x = halved(x) if index else x
            results.append(network(x))
        return results

    def of_pair(
        self, semantics: SemanticMap, fake: Tensor, real: Tensor
    ) -> tuple[list[list[Tensor]], list[list[Tensor]]]:
        """Return the features of synthesized and of real (N, 3, H, W) images of one label map.

        One pass over both, stacked along the batch. Where a gradient flows to `fake`, that of
        `real` must not be asked for.
        """
        maps, count = semantics.full, len(fake)
        both = self(torch.cat([maps, maps]), torch.cat([fake, real.to(fake.dtype)]))
        on_fake = [[feature[:count] for feature in scale] for scale in both]
        return on_fake, [[feature[count:] for feature in scale] for scale in both]


def halved(x: Tensor) -> Tensor:
    """Average pooling between scales (Wang et al., Sec. 3.2)."""
    return F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)


class PatchDiscriminator(nn.Module):
    """One scale: convolutions with 4x4 kernels, padding 2; those of stride 1 keep the size (+1)."""

    def __init__(self, config: MultiscaleDiscriminator.Config) -> None:
        super().__init__()
        widths = [config.base_channels * 2**i for i in range(config.num_layers)]
        widths = [config.num_labels + 3, *(min(width, MAX_CHANNELS) for width in widths)]
        self.layers = nn.ModuleList([PatchLayer(widths[0], widths[1], stride=2)])
        for i in range(1, config.num_layers):
            stride = config.last_stride if i == config.num_layers - 1 else 2
            self.layers.append(PatchLayer(widths[i], widths[i + 1], stride, config.norm))
        self.layers.append(PatchLayer(widths[-1], 1, stride=1, activation=False))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map (N, num_labels + 3, H, W) -> the output of every layer, (N, 1, h, w) logits last."""
        features = []
        for layer in self.layers:
            x = layer(x)
            features.append(x)
        return features


class PatchLayer(nn.Module):
    """Convolution, norm, leaky ReLU 0.2.

    Under spectral norm the bias before a norm is dropped, as in SPADE; pix2pixHD keeps it.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        norm: DiscriminatorNorm = "none",
        activation: bool = True,
    ) -> None:
        super().__init__()
        spectral, kind = norm.startswith("spectral"), norm.removeprefix("spectral")
        bias = not spectral or kind == "none"
        conv = nn.Conv2d(in_channels, out_channels, 4, stride=stride, padding=2, bias=bias)
        self.conv = spectral_norm(conv) if spectral else conv
        self.norm: nn.Module = nn.Identity()
        if kind != "none":
            self.norm = unconditional_norm(kind, out_channels)  # type: ignore[arg-type]
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        return self.activated(self.conv(x))

    def activated(self, convolved: Tensor) -> Tensor:
        """Return what follows the convolution."""
        x = self.norm(convolved)
        return F.leaky_relu(x, 0.2) if self.activation else x


def published_names(
    config: MultiscaleDiscriminator.Config, *, intermediate_features: bool = True
) -> dict[str, str]:
    """Map our module names to the published ones, SPADE's or pix2pixHD's by the norm.

    pix2pixHD numbers its scales from the coarsest; trained without feature matching, it stores one
    sequence a scale.
    """
    names = {}
    for scale in range(config.num_scales):
        for layer in range(config.num_layers + 1):
            ours = f"scales.{scale}.layers.{layer}"
            middle = 0 < layer < config.num_layers
            if config.norm.startswith("spectral"):
                paired = middle and config.norm != "spectralnone"
                theirs = f"discriminator_{scale}.model{layer}.0"
                names[f"{ours}.conv"] = f"{theirs}.0" if paired else theirs
                names[f"{ours}.norm"] = f"{theirs}.1"
            elif intermediate_features:
                theirs = f"scale{config.num_scales - 1 - scale}_layer{layer}"
                names[f"{ours}.conv"], names[f"{ours}.norm"] = f"{theirs}.0", f"{theirs}.1"
            else:
                index = 3 * layer - 1 if layer else 0
                theirs = f"layer{config.num_scales - 1 - scale}"
                names[f"{ours}.conv"] = f"{theirs}.{index}"
                names[f"{ours}.norm"] = f"{theirs}.{index + 1}"
    return names


def _is_published(tensors: Shapes) -> bool:
    return bool({"discriminator_0.model0.0.weight", "scale0_layer0.0.weight"} & set(tensors))


def _config_of(tensors: Shapes, hints: Hints) -> MultiscaleDiscriminator.Config:
    """Infer the configuration of a state dict with SPADE's or pix2pixHD's names."""
    if "scale0_layer0.0.weight" in tensors:
        norm = "syncbatch" if "scale0_layer1.1.weight" in tensors else "instance"
        return _sizes(tensors, ("scale", "_layer"), norm)
    spectral = "discriminator_0.model1.0.0.weight_orig" in tensors
    norm = "instance" if spectral else "none"
    if "discriminator_0.model1.0.1.weight" in tensors:
        norm = "syncbatch"
    return _sizes(tensors, ("discriminator_", ".model"), f"spectral{norm}")


def _sizes(tensors: Shapes, names: tuple[str, str], norm: Any) -> MultiscaleDiscriminator.Config:
    scale, layer = names
    first = tensors[f"{scale}0{layer}0.0.weight"]
    parts = [name.removeprefix(scale).split(layer) for name in tensors]
    num_layers = max(int(rest.partition(".")[0]) for _, rest in parts)
    # Shapes cannot tell strides. Of the released spectral ones SEAN's alone have three layers.
    is_sean = num_layers == 3 and norm.startswith("spectral")
    return MultiscaleDiscriminator.Config(
        num_labels=first.shape[1] - 3,
        base_channels=first.shape[0],
        num_layers=num_layers,
        num_scales=1 + max(int(number) for number, _ in parts),
        norm=norm,
        last_stride=2 if is_sean else 1,
    )


MultiscaleDiscriminator.published = Published(
    recognises=_is_published, config_of=_config_of, names=published_names
)
