# SPDX-License-Identifier: Apache-2.0
"""What a generator of somebody else is given: label maps as tensors, and what may go with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from spade_eval.batches import label_maps, layout_of, semantic_map
from spade_eval.datasets.base import Dataset, Sample
from spade_eval.models.inputs import Noise
from spade_eval.models.labels import Size
from spade_eval.models.semantics import SemanticMap
from spade_eval.sources.style_photos import StylePhotos


@dataclass(frozen=True, kw_only=True)
class MapBatch:
    """Label maps of a batch on the generator's device; photos only where the row may see them."""

    names: tuple[str, ...]  # stems of the label maps
    class_names: tuple[str, ...]  # of the values of `label_map`
    label_map: Tensor  # (N, H, W) int64, 255 where no class is known
    instance_map: Tensor | None  # (N, H, W) int64, ids that differ between neighbouring objects
    semantics: SemanticMap  # channels in SPADE's order: classes, unknown, instance edges
    # Random numbers that depend on seed and image alone: `noise.normal("z", 256)` is (N, 256),
    # `noise.uniform("mask", H, W)` is (N, H, W).
    noise: Noise
    draw: int = 0  # which of several images of each label map is asked for; `noise` differs by it
    style: Tensor | None = None  # (N, 3, H, W) photos in [-1, 1], where `style_input` allows them

    def __len__(self) -> int:
        return len(self.names)

    @property
    def size(self) -> Size:
        """Height and width."""
        return self.semantics.size

    @property
    def device(self) -> torch.device:
        return self.label_map.device

    @cached_property
    def one_hot(self) -> Tensor:
        """(N, L, H, W) float32, one channel a label, made when it is first asked for."""
        return self.semantics.full


def map_batch(
    dataset: Dataset,
    indices: Sequence[int],
    samples: Sequence[Sample],
    device: torch.device,
    seed: int,
    draw: int = 0,
    styles: StylePhotos | None = None,
) -> MapBatch:
    """Return what a generator is given for these samples; `draw` numbers the noise of an image."""
    instances = [item.instance_map for item in samples if item.instance_map is not None]
    return MapBatch(
        names=tuple(sample.name for sample in samples),
        class_names=dataset.label_space.class_names,
        label_map=label_maps(samples).to(device),
        instance_map=torch.from_numpy(np.stack(instances)).long().to(device)
        if len(instances) == len(samples)
        else None,
        semantics=semantic_map(samples, layout_of(dataset), device),
        noise=Noise.of_images(seed, indices, draw, device),
        draw=draw,
        style=None if styles is None else styles.of(indices, samples, draw).photos,
    )
