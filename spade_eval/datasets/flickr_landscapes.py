# SPDX-License-Identifier: Apache-2.0
"""Flickr Landscapes: any folder of photos with label maps that a COCO-Stuff segmenter made.

Park et al. (CVPR 2019) collected 41,000 photos, kept 1,000 for validation and labelled them with
DeepLabV2 trained on COCO-Stuff; neither photos nor labels were released. This is the recipe for
photos of one's own: `images/` and `labels/` below the data root, labels written by
`spade-eval data label`, in the numbering of COCO-Stuff. Splits are `images/{train,val}` where
those folders are there; otherwise about one photo in 41 is validation, chosen by the hash of its
name, so that adding photos moves none of the others.
"""

from pathlib import Path

from spade_eval.datasets import files
from spade_eval.datasets.coco_stuff import LABEL_FILES
from spade_eval.datasets.file_dataset import (
    FileDataset,
    SplitFiles,
    first_folder,
    listing,
    only_split,
    paired,
    require_both,
)
from spade_eval.datasets.label_files import LabelFiles
from spade_eval.datasets.layouts import spelled
from spade_eval.datasets.pairing import without_other_splits
from spade_eval.models.labels import LAYOUTS

VAL_SHARE = 1 / 41


class FlickrLandscapes(FileDataset):
    """Photos of landscapes with predicted label maps; no instance maps."""

    name = "flickr_landscapes"
    layouts = LAYOUTS["cocostuff"]

    @classmethod
    def find(cls, root: Path, split: str) -> SplitFiles:
        """Find `images/` with `labels/`, each with folders per split or as a whole."""
        photos, labels = require_both(
            cls,
            root,
            split,
            first_folder(root, [*spelled(["images/{split}"], split), "images"]),
            first_folder(root, [*spelled(["labels/{split}"], split), "labels"]),
            "photos in images/ (or images/{train,val}/), label maps in labels/ likewise",
        )
        roles = [
            (_pattern(root, photos), listing(photos, files.PHOTO_EXTENSIONS)),
            (_pattern(root, labels), listing(labels, files.MAP_EXTENSIONS)),
        ]
        found = paired(*without_other_splits(root, split, roles))
        undivided = photos.parent == root == labels.parent
        return only_split(found, split, VAL_SHARE, root) if undivided else found

    @classmethod
    def label_files_of(cls, root: Path) -> LabelFiles:
        """Take those of COCO-Stuff."""
        return LABEL_FILES

    @classmethod
    def how_to_get(cls, split: str) -> str:
        """Say how to make it."""
        return (
            "The set of the paper was never released: put photos of your own into images/ and "
            "label them with `spade-eval data label`"
        )


def _pattern(root: Path, folder: Path) -> str:
    return folder.name if folder.parent == root else f"{folder.parent.name}/{{split}}"
