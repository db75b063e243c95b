# SPDX-License-Identifier: Apache-2.0
"""The datasets by name. Adding one is one file and one row here."""

from collections.abc import Callable
from pathlib import Path

from spade_eval.datasets.base import Dataset, Size
from spade_eval.datasets.coco_stuff import CocoStuff
from spade_eval.datasets.scenes import Scenes
from spade_eval.errors import lookup

DATASETS: dict[str, Callable[[str, Size, Path], Dataset]] = {
    "scenes": lambda split, size, data_root: Scenes(split, size),
    "cocostuff": lambda split, size, data_root: CocoStuff(split, size, data_root),
}


def open_dataset(name: str, split: str, size: Size, data_root: Path) -> Dataset:
    """One split ("train" or "val") of a dataset at one size."""
    return lookup(DATASETS, name, "dataset")(split, size, data_root)
