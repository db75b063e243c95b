# SPDX-License-Identifier: Apache-2.0
"""Label maps to measure speed on: of a dataset, or a folder of PNG files, at any size.

How fast the look-up forms are depends on the maps; noise or stripes would measure something else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from spade_eval.datasets import open_dataset
from spade_eval.datasets.base import Dataset
from spade_eval.datasets.files import opened
from spade_eval.errors import UserError
from spade_eval.models.labels import IGNORE_INDEX, SemanticLayout, Size
from spade_eval.models.semantics import SemanticMap


@dataclass(frozen=True)
class BenchMaps:
    """Label maps, and instance maps or label maps again in their place for the edges."""

    labels: Tensor  # (M, H, W) int64
    instances: Tensor  # (M, H, W) int64
    layout: SemanticLayout

    def batch(self, number: int, batch_size: int, device: torch.device) -> SemanticMap:
        """Return the maps of the `number`-th batch, starting over after the last."""
        picked = torch.arange(number * batch_size, (number + 1) * batch_size) % len(self.labels)
        return SemanticMap(
            self.labels[picked].to(device), self.layout, self.instances[picked].to(device)
        )


def open_maps(
    folder: Path | None,
    instances: Path | None,
    dataset: str,
    data_root: Path,
    size: Size,
    classes: int,
    count: int,
) -> BenchMaps:
    """Open maps of a folder, or where none is named the first `count` of a dataset's val split."""
    if folder is not None:
        return maps_of_folder(folder, instances, size, classes)
    return maps_of_dataset(open_dataset(dataset, "val", size, data_root), count, classes)


def maps_of_folder(folder: Path, instances: Path | None, size: Size, classes: int) -> BenchMaps:
    """Open every PNG of a folder, resized (nearest); instance maps have the same file names."""
    paths = sorted(folder.glob("*.png"))
    if not paths:
        raise UserError(f"--maps {folder}: no PNG files there; name a folder of 8-bit label maps")
    labels = [_read(path, size) for path in paths]
    edges = labels
    if instances is not None:
        edges = [_read(instances / path.name, size) for path in paths]
    return _bench_maps(labels, edges, classes)


def maps_of_dataset(dataset: Dataset, count: int, classes: int) -> BenchMaps:
    """Open the first label maps of a split."""
    samples = [dataset[index] for index in range(min(count, len(dataset)))]
    labels = [sample.label_map for sample in samples]
    edges = [s.label_map if s.instance_map is None else s.instance_map for s in samples]
    return _bench_maps(labels, edges, classes)


def _bench_maps(
    labels: Sequence[NDArray[np.generic]], instances: Sequence[NDArray[np.generic]], classes: int
) -> BenchMaps:
    """Labels past the number of classes start over from 0: regions keep their shapes."""
    values = torch.from_numpy(np.stack(labels).astype(np.int64))
    known = values != IGNORE_INDEX
    values[known] %= classes
    return BenchMaps(
        values,
        torch.from_numpy(np.stack(instances).astype(np.int64)),
        SemanticLayout(num_classes=classes, unknown="last", edges=True),
    )


def _read(path: Path, size: Size) -> NDArray[np.generic]:
    with opened(path, ["PNG"]) as (image, _):
        return np.asarray(image.resize(size[::-1], Image.Resampling.NEAREST))
