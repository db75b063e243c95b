# SPDX-License-Identifier: Apache-2.0
"""From samples (NumPy, 8 bit) to what networks eat (tensors on a device), and back."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spade_eval.datasets.base import Dataset, Sample
from spade_eval.errors import lookup
from spade_eval.models.labels import SemanticLayout, layouts_of
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.training.gan import TrainingBatch
from spade_eval.protocol import Protocol
from spade_eval.segmenters.training import SegmenterBatch


def layout_of(dataset: Dataset, name: str = "spade") -> SemanticLayout:
    """Return the order of channels that a program gives the semantic maps of a dataset."""
    space = dataset.label_space
    known = layouts_of(
        dataset.name,
        space.num_classes,
        has_unlabelled=space.has_unlabelled,
        has_instances=dataset.has_instances,
    )
    return lookup(known, name, f"layout of {dataset.name}")


def semantic_map(
    samples: Sequence[Sample], layout: SemanticLayout, device: torch.device
) -> SemanticMap:
    """Label maps of a batch, with their instance maps where the layout has edges."""
    instances = None
    if layout.edges:
        instances = _stack([_instance_map(sample) for sample in samples]).to(device)
    return SemanticMap(label_maps(samples).to(device), layout, instances)


def label_maps(samples: Sequence[Sample]) -> Tensor:
    """(N, H, W) int64."""
    return _stack([sample.label_map for sample in samples]).long()


def photos(samples: Sequence[Sample]) -> Tensor:
    """(N, 3, H, W) uint8."""
    return _stack([sample.photo for sample in samples]).permute(0, 3, 1, 2)


def training_batch(
    samples: Sequence[Sample], layout: SemanticLayout, device: torch.device
) -> TrainingBatch:
    """A batch for a generator: photos in [-1, 1]."""
    scaled = photos(samples).to(device).float() / 127.5 - 1
    return TrainingBatch(semantic_map(samples, layout, device), scaled)


def segmenter_batch(samples: Sequence[Sample], device: torch.device) -> SegmenterBatch:
    """A batch for a segmenter: photos in [0, 1]."""
    scaled = photos(samples).to(device).float() / 255
    return SegmenterBatch(scaled, label_maps(samples).to(device))


def to_8_bit(synthesized: Tensor, protocol: Protocol) -> Tensor:
    """(N, 3, H, W) in [-1, 1] -> uint8, exactly as the saved PNG holds it."""
    scaled = ((synthesized.float() + 1) / 2 * 255).clamp(0, 255)
    if protocol.quantisation == "round":
        scaled = scaled.round()
    return scaled.to(torch.uint8)


def _instance_map(sample: Sample) -> NDArray[np.int32]:
    assert sample.instance_map is not None
    return sample.instance_map


def _stack(arrays: Sequence[NDArray[np.generic]]) -> Tensor:
    return torch.from_numpy(np.stack(arrays))
