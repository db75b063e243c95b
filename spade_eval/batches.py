# SPDX-License-Identifier: Apache-2.0
"""From samples (NumPy, 8 bit) to what networks eat (tensors on a device), and back."""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from spade_eval.datasets.base import Dataset, Sample
from spade_eval.errors import lookup
from spade_eval.models.inputs import Batch, Noise
from spade_eval.models.labels import IGNORE_INDEX, SemanticLayout, layouts_of
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.systems.base import System
from spade_eval.models.training.distributed import ALONE, World
from spade_eval.protocol import Protocol
from spade_eval.segmenters.training import SegmenterBatch


def layout_of(dataset: Dataset, name: str = "spade") -> SemanticLayout:
    """Return the order of channels that a program gives the semantic maps of a dataset."""
    return lookup(
        layouts_of(dataset.layouts, dataset.label_space.num_classes, **_has(dataset)),
        name,
        f"layout of {dataset.name}",
    )


def layout_for(system: type[System], dataset: Dataset) -> SemanticLayout:
    """Return the order of channels in which a method sees the label maps of a dataset."""
    return system.layout(dataset.layouts, dataset.label_space.num_classes, **_has(dataset))


def _has(dataset: Dataset) -> dict[str, bool]:
    return {
        "has_unlabelled": dataset.label_space.has_unlabelled,
        "has_instances": dataset.has_instances,
    }


def semantic_map(
    samples: Sequence[Sample], layout: SemanticLayout, device: torch.device
) -> SemanticMap:
    """Label maps of a batch, with their instance maps where the layout has edges.

    Where a protocol takes classes away and the layout has no unknown channel, pixels without a
    class have no channel at all.
    """
    if layout.unknown == "none" and any(sample.is_given for sample in samples):
        return _with_gaps(samples, layout, device)
    instances = None
    if layout.edges:
        instances = _stack([_instance_map(sample) for sample in samples]).to(device)
    made = [sample.positions for sample in samples if sample.positions is not None]
    positions = functools.partial(_positions, made) if len(made) == len(samples) else None
    return SemanticMap(label_maps(samples).to(device), layout, instances, positions)


def _with_gaps(
    samples: Sequence[Sample], layout: SemanticLayout, device: torch.device
) -> SemanticMap:
    """Make the map of one-hot channels, none of which is set at 255."""
    labels = label_maps(samples)
    known = labels != IGNORE_INDEX
    filled = [
        dataclasses.replace(sample, label_map=np.where(mask, sample.label_map, 0), is_given=False)
        for sample, mask in zip(samples, known.numpy(), strict=True)
    ]
    hard = semantic_map(filled, layout, device)
    dense = hard.full.clone()
    dense[:, : layout.num_classes] *= known[:, None].to(dense)
    return SemanticMap.from_tensor(dense, lambda: hard.positions_at(hard.size))


def label_maps(samples: Sequence[Sample]) -> Tensor:
    """Return stack label maps: (N, H, W) int64."""
    return _stack([sample.label_map for sample in samples]).long()


def photos(samples: Sequence[Sample]) -> Tensor:
    """Return stack photos: (N, 3, H, W) uint8."""
    return _stack([sample.photo for sample in samples]).permute(0, 3, 1, 2)


def training_batch(
    labelled: Sequence[Sample],
    photographed: Sequence[Sample],
    layout: SemanticLayout,
    noise: Noise,
    world: World = ALONE,
) -> Batch:
    """Make a batch on the noise's device: the label maps of some samples, the photos of others.

    It is this process's share where the processes of `world` go through a batch together.
    """
    scaled = photos(photographed).to(noise.device).float() / 127.5 - 1
    semantics = semantic_map(labelled, layout, noise.device)
    mirrored = torch.tensor([sample.mirrored for sample in labelled])
    return Batch(
        semantics, scaled, noise,
        mirrored=mirrored, summed=world.summed, together=world.together,
    )  # fmt: skip


def segmenter_batch(samples: Sequence[Sample], device: torch.device) -> SegmenterBatch:
    """Make a batch for a segmenter: photos in [0, 1]."""
    scaled = photos(samples).to(device).float() / 255
    return SegmenterBatch(scaled, label_maps(samples).to(device))


def to_unit_range(synthesized: Tensor) -> Tensor:
    """Map (N, 3, H, W) in [-1, 1], as generators give it, to float32 in [0, 1]."""
    return (synthesized.float() + 1) / 2


def to_8_bit(images: Tensor, protocol: Protocol) -> Tensor:
    """Map (N, 3, H, W) in [0, 1] to uint8, exactly as the saved PNG holds it; k / 255 becomes k."""
    scaled = (images * 255).clamp(0, 255)
    if protocol.quantisation == "round":
        scaled = scaled.round()
    return scaled.to(torch.uint8)


def tiled(images: Tensor, columns: int, gap: int = 2) -> Tensor:
    """Lay (N, 3, H, W) uint8 out as one (H', W', 3) picture, row by row, on white."""
    padded = F.pad(images, (0, gap, 0, gap), value=255)
    rows = padded.unflatten(0, (-1, columns))  # (rows, columns, 3, H, W)
    return rows.permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)


def coloured(samples: Sequence[Sample], dataset: Dataset) -> Tensor:
    """Return (N, 3, H, W) uint8: label maps in their colours, unlabelled pixels black."""
    table = torch.zeros(256, 3, dtype=torch.uint8)
    palette = torch.tensor(dataset.label_space.palette, dtype=torch.uint8)
    table[: len(palette)] = palette
    return table[label_maps(samples)].permute(0, 3, 1, 2)


def _positions(made: Sequence[Callable[[], NDArray[np.float32]]]) -> Tensor:
    return _stack([make() for make in made])


def _instance_map(sample: Sample) -> NDArray[np.int32]:
    assert sample.instance_map is not None
    return sample.instance_map


def _stack(arrays: Sequence[NDArray[np.generic]]) -> Tensor:
    return torch.from_numpy(np.stack(arrays))
