# SPDX-License-Identifier: Apache-2.0
"""COCO-Stuff (164k): photos of COCO 2017 with 182 classes, from either of two folder layouts.

Official layout: `val2017/` (or `images/val2017/`) with `stuffthingmaps_trainval2017/val2017/`, as
the archives unpack. SPADE layout: `val_img/`, `val_label/`, `val_inst/`, as the SPADE release ships
its samples. Label values are the published ids minus one, 255 is unlabelled. Instance maps are
optional; only the boundaries between their ids carry meaning.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from spade_eval.datasets import files
from spade_eval.datasets.base import LabelSpace
from spade_eval.datasets.cocostuff_classes import CLASS_NAMES, NEVER_ANNOTATED, PALETTE, TABLE
from spade_eval.datasets.file_dataset import (
    FileDataset,
    SplitFiles,
    first_folder,
    listing,
    paired,
    require_both,
)
from spade_eval.datasets.label_files import LabelFiles, numbered_from_zero
from spade_eval.datasets.layouts import Place, located, spelled
from spade_eval.datasets.numberings import PublishedNumbering
from spade_eval.models.labels import LAYOUTS

LABEL_SPACE = LabelSpace(class_names=CLASS_NAMES, palette=PALETTE, has_unlabelled=True)
LABEL_FILES = numbered_from_zero(LABEL_SPACE)

_IMAGES = "http://images.cocodataset.org/zips"
_LABELS = "http://calvin.inf.ed.ac.uk/wp-content/uploads/data/cocostuffdataset"
# split -> (archive, its size), as listed by the COCO-Stuff project
_PHOTO_ARCHIVES = {
    "train": f"{_IMAGES}/train2017.zip (18 GB)",
    "val": f"{_IMAGES}/val2017.zip (1 GB)",
}
_LABEL_ARCHIVE = f"{_LABELS}/stuffthingmaps_trainval2017.zip (659 MB)"

_PHOTO_FOLDERS = ("{split}_img", "{split}2017", "images/{split}2017", "images/{split}")
_LABEL_FOLDERS = (
    "{split}_label", "stuffthingmaps_trainval2017/{split}2017", "stuffthingmaps/{split}2017",
    "annotations/{split}2017", "annotations/{split}",
)  # fmt: skip
_INSTANCE_FOLDERS = ("{split}_inst", "instances/{split}2017")


class CocoStuff(FileDataset):
    """COCO ids are padded with zeros, so the order of names is ascending."""

    name = "cocostuff"
    official_counts: ClassVar[Mapping[str, int]] = {"train": 118_287, "val": 5_000}
    layouts = LAYOUTS["cocostuff"]
    scored_as = "COCO-Stuff 182"
    numbering = PublishedNumbering(dataset=name, table=TABLE, never=frozenset(NEVER_ANNOTATED))

    @classmethod
    def find(cls, root: Path, split: str) -> SplitFiles:
        """Find either layout; instance maps where a folder of them is there."""
        place = place_of(root, split)
        photos, labels = require_both(
            cls,
            root,
            split,
            place.photos,
            place.labels,
            f"photos in {split}2017/, images/{split}2017/ or {split}_img/, label maps in "
            f"stuffthingmaps_trainval2017/{split}2017/, annotations/{split}2017/ or "
            f"{split}_label/",
        )
        instances = first_folder(place.home, spelled(_INSTANCE_FOLDERS, split))
        return paired(
            listing(photos, files.PHOTO_EXTENSIONS),
            listing(labels, files.MAP_EXTENSIONS),
            listing(instances, files.MAP_EXTENSIONS) if instances else None,
        )

    @classmethod
    def label_files_of(cls, root: Path) -> LabelFiles:
        """Take values 0..181, and 255."""
        return LABEL_FILES

    @classmethod
    def positional_file(cls, root: Path, split: str, stem: str, label_map: Path) -> Path:
        """Return {train,val}_dist/, whichever the layout."""
        return root / f"{split}_dist" / f"{stem}.npy"

    @classmethod
    def how_to_get(cls, split: str) -> str:
        """Name the archives of the project."""
        return (
            f"Unpack {_PHOTO_ARCHIVES[split]} into the data root and {_LABEL_ARCHIVE} into its "
            "folder stuffthingmaps_trainval2017/; or use --dataset scenes, which needs no files"
        )


def place_of(root: Path, split: str) -> Place:
    """Find the folders of a split, of which one or both may lack."""
    return located(root, split, _PHOTO_FOLDERS, _LABEL_FOLDERS)
