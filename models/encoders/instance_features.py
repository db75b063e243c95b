# SPDX-License-Identifier: Apache-2.0
"""pix2pixHD's feature encoder: a few channels per instance that control its appearance.

Wang et al., CVPR 2018, Sec. 3.4: in training every instance's features are the mean of the encoder
output over its pixels. Their k-means centres per class, for images without a photo, are left out.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from spade_eval.models.generators.pix2pixhd import Pix2PixHDGenerator, Trunk, reflect_conv
from spade_eval.models.generators.pix2pixhd import published_names as generator_names
from spade_eval.models.released import Hints, Published, Shapes, numbered
from spade_eval.models.semantics import SemanticMap


class InstanceFeatureEncoder(nn.Module):
    """An hourglass of convolutions, averaged over each instance of each image."""

    published: ClassVar[Published]

    @dataclass(frozen=True, kw_only=True)
    class Config:
        num_features: int = 3
        base_channels: int = 16
        num_downsamplings: int = 4

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        trunk = hourglass_config(config)
        self.trunk = Trunk(trunk)
        self.to_features = reflect_conv(
            config.base_channels, config.num_features, trunk.outer_kernel_size
        )

    def forward(self, image: Tensor, instance_map: Tensor) -> Tensor:
        """Map (N, 3, H, W) in [-1, 1], (N, H, W) ids -> (N, num_features, H, W), per instance."""
        return instance_mean(self.raw(image), instance_map)

    def raw(self, image: Tensor) -> Tensor:
        """Map (N, 3, H, W) -> (N, num_features, H, W) in [-1, 1], before averaging."""
        multiple = 2**self.config.num_downsamplings
        if any(side % multiple for side in image.shape[-2:]):
            raise ValueError(
                f"the image is {tuple(image.shape[-2:])}, expected multiples of {multiple}; "
                "resize it"
            )
        # The trunk's instance norms read no semantic map; the image stands in for it.
        x: Tensor = self.to_features(self.trunk(image, SemanticMap.from_tensor(image)))
        return x.tanh()


def hourglass_config(config: InstanceFeatureEncoder.Config) -> Pix2PixHDGenerator.Config:
    """Return the configuration of the global generator without residual blocks, on an image."""
    return Pix2PixHDGenerator.Config(
        num_labels=3,
        base_channels=config.base_channels,
        num_downsamplings=config.num_downsamplings,
        num_blocks=0,
    )


def published_names(config: InstanceFeatureEncoder.Config) -> dict[str, str]:
    """Map our module names -> those of the published checkpoints."""
    names = generator_names(hourglass_config(config))
    return {**names, "to_features": names["to_rgb"]}


def _is_published(tensors: Shapes) -> bool:
    # pix2pixHD's generator has the same stem, and residual blocks.
    return "model.1.weight" in tensors and not any(".conv_block." in name for name in tensors)


def _config_of(tensors: Shapes, hints: Hints) -> InstanceFeatureEncoder.Config:
    """Infer the configuration of a state dict with published names."""
    convolutions = numbered(tensors, "model.", ".weight")
    return InstanceFeatureEncoder.Config(
        num_features=tensors[f"model.{max(convolutions)}.weight"].shape[0],
        base_channels=tensors["model.1.weight"].shape[0],
        num_downsamplings=(len(convolutions) - 2) // 2,
    )


InstanceFeatureEncoder.published = Published(
    recognises=_is_published, config_of=_config_of, names=published_names
)


def instance_mean(features: Tensor, instance_map: Tensor) -> Tensor:
    """Replace features (N, F, H, W) by their mean over every instance id (N, H, W) of an image."""
    count, channels = features.shape[:2]
    ids = instance_map.reshape(count, -1).long()
    image = torch.arange(count, device=ids.device)[:, None].expand_as(ids)
    keys = torch.stack([image.flatten(), ids.flatten()], dim=1)
    _, segment, pixels = torch.unique(keys, dim=0, return_inverse=True, return_counts=True)
    flat = features.permute(0, 2, 3, 1).reshape(-1, channels)
    sums = flat.new_zeros(pixels.numel(), channels).index_add(0, segment, flat)
    means = sums / pixels[:, None].to(flat.dtype)
    height, width = features.shape[-2:]
    return means[segment].view(count, height, width, channels).permute(0, 3, 1, 2)
