# SPDX-License-Identifier: Apache-2.0
"""The datasets by name. Adding one is one file and one row here."""

from pathlib import Path

from spade_eval.datasets.ade20k import Ade20k
from spade_eval.datasets.ade20k_outdoor import Ade20kOutdoor
from spade_eval.datasets.base import Dataset, DatasetKind
from spade_eval.datasets.cityscapes import Cityscapes
from spade_eval.datasets.coco_stuff import CocoStuff
from spade_eval.datasets.flickr_landscapes import FlickrLandscapes
from spade_eval.datasets.folder import Folder
from spade_eval.datasets.scenes import Scenes
from spade_eval.errors import lookup
from spade_eval.models.labels import Size

DATASETS: dict[str, DatasetKind] = {
    "scenes": Scenes,
    "cocostuff": CocoStuff,
    "ade20k": Ade20k,
    "ade20k_outdoor": Ade20kOutdoor,
    "cityscapes": Cityscapes,
    "flickr_landscapes": FlickrLandscapes,
    "folder": Folder,
}


def open_dataset(name: str, split: str, size: Size, data_root: Path) -> Dataset:
    """Open one split ("train" or "val") of a dataset at one size."""
    return lookup(DATASETS, name, "dataset").opened(split, size, data_root)
