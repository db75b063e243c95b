# SPDX-License-Identifier: Apache-2.0
"""pix2pixHD's feature encoder: a few channels per instance that control its appearance.

Wang et al., CVPR 2018, Sec. 3.4. In training every instance's features are the mean of the encoder
output over its pixels; at test time they are drawn from k-means centres per class.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from spade_eval.models.generators.pix2pixhd import Pix2PixHDGenerator, Trunk, reflect_conv
from spade_eval.models.generators.pix2pixhd import published_names as generator_names
from spade_eval.models.released import Published, Shapes, Told, numbered
from spade_eval.models.semantics import SemanticMap

# Instances below this value of (area share times 32) take no part in the clustering.
AREA_SCALE = 32
MIN_AREA = 0.5
NUM_CLUSTERS = 10
# Instance ids of countable objects are class * 1000 + number; others are the class itself.
IDS_PER_CLASS = 1000

ClassCentres = Mapping[int, Tensor]
"""Class -> (k, num_features) centres."""


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
        """(N, 3, H, W) in [-1, 1], (N, H, W) ids -> (N, num_features, H, W), flat per instance."""
        return instance_mean(self.raw(image), instance_map)

    def raw(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, num_features, H, W) in [-1, 1], before averaging."""
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
    """The global generator without residual blocks, on an image."""
    return Pix2PixHDGenerator.Config(
        num_labels=3,
        base_channels=config.base_channels,
        num_downsamplings=config.num_downsamplings,
        num_blocks=0,
    )


def published_names(config: InstanceFeatureEncoder.Config) -> dict[str, str]:
    """Our module names -> those of the published checkpoints."""
    names = generator_names(hourglass_config(config))
    return {**names, "to_features": names["to_rgb"]}


def _is_published(tensors: Shapes) -> bool:
    # pix2pixHD's generator has the same stem, and residual blocks.
    return "model.1.weight" in tensors and not any(".conv_block." in name for name in tensors)


def _config_of(tensors: Shapes, told: Told) -> InstanceFeatureEncoder.Config:
    """The configuration of a state dict with published names."""
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


def class_of_instance(instance_id: int) -> int:
    """The class of an instance id of the Cityscapes kind."""
    return instance_id if instance_id < IDS_PER_CLASS else instance_id // IDS_PER_CLASS


def instance_samples(features: Tensor, instance_map: Tensor) -> dict[int, Tensor]:
    """One image, (F, H, W) and (H, W) -> class -> (instances, F + 1).

    A row holds the features at the instance's middle pixel in scan order and its area share times
    32. Concatenate the rows of a training set, then `cluster_features`.
    """
    flat, ids = features.flatten(1), instance_map.flatten()
    rows: dict[int, list[Tensor]] = {}
    for instance_id in torch.unique(ids).tolist():
        pixels = (ids == instance_id).nonzero()[:, 0]
        area = flat.new_tensor([AREA_SCALE * pixels.numel() / ids.numel()])
        row = torch.cat([flat[:, pixels[pixels.numel() // 2]], area])
        rows.setdefault(class_of_instance(int(instance_id)), []).append(row)
    return {label: torch.stack(found) for label, found in rows.items()}


def cluster_features(
    samples: Iterable[Mapping[int, Tensor]], generator: torch.Generator, k: int = NUM_CLUSTERS
) -> dict[int, Tensor]:
    """`instance_samples` of many images -> class -> (at most k, F) k-means centres."""
    rows: dict[int, list[Tensor]] = {}
    for sample in samples:
        for label, found in sample.items():
            rows.setdefault(label, []).append(found)
    centres = {}
    for label in sorted(rows):
        table = torch.cat(rows[label])
        points = table[table[:, -1] > MIN_AREA, :-1]
        if points.shape[0]:
            centres[label] = k_means(points, min(k, points.shape[0]), generator)
    return centres


def k_means(points: Tensor, k: int, generator: torch.Generator, iterations: int = 100) -> Tensor:
    """Lloyd's algorithm from k distinct rows of (N, F) points -> (k, F) centres."""
    start = torch.randperm(points.shape[0], generator=generator)[:k]
    centres = points[start.to(points.device)].clone()
    for _ in range(iterations):
        nearest = torch.cdist(points, centres).argmin(dim=1)
        members = torch.zeros_like(centres[:, 0]).index_add(
            0, nearest, torch.ones_like(points[:, 0])
        )
        sums = torch.zeros_like(centres).index_add(0, nearest, points)
        moved = torch.where(members[:, None] > 0, sums / members.clamp(min=1)[:, None], centres)
        if torch.equal(moved, centres):
            break
        centres = moved
    return centres


def sample_features(
    centres: ClassCentres, instance_map: Tensor, num_features: int, generator: torch.Generator
) -> Tensor:
    """Instance ids (N, H, W) -> (N, num_features, H, W): one centre drawn for every instance.

    Instances of classes without centres get zeros, as in the published code.
    """
    features = torch.zeros(instance_map.shape[0], num_features, *instance_map.shape[1:])
    for image, ids in zip(features, instance_map.cpu(), strict=True):
        for instance_id in torch.unique(ids).tolist():
            found = centres.get(class_of_instance(int(instance_id)))
            if found is not None:
                drawn = int(torch.randint(found.shape[0], (1,), generator=generator))
                image[:, ids == instance_id] = found[drawn].cpu()[:, None]
    return features.to(instance_map.device)
