# SPDX-License-Identifier: Apache-2.0
"""ADE20K as synthesis papers use it: SceneParse150 (ADEChallengeData2016), 150 classes.

`images/{training,validation}/*.jpg` with `annotations/{training,validation}/*.png`, below the data
root or in its folder `ADEChallengeData2016/`. Files hold 0 for "other" and 1..150 for classes; the
suite's label values are 255 and 0..149. There are no instance maps. The full ADE20K (25,574 images,
over 3,000 classes, colour-coded `*_seg.png`) is another data set and is refused by name.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from spade_eval.datasets import files
from spade_eval.datasets.ade20k_classes import TABLE
from spade_eval.datasets.base import LabelSpace
from spade_eval.datasets.file_dataset import (
    FileDataset,
    SplitFiles,
    listing,
    paired,
    require_both,
)
from spade_eval.datasets.label_files import LabelFiles
from spade_eval.datasets.layouts import located
from spade_eval.datasets.numberings import PublishedNumbering
from spade_eval.errors import UserError
from spade_eval.models.labels import LAYOUTS

LABEL_SPACE = LabelSpace(class_names=TABLE.class_names, palette=TABLE.palette, has_unlabelled=True)
LABEL_FILES = LabelFiles(
    space=LABEL_SPACE,
    values=tuple(range(1, 151)),
    unlabelled=(0,),
    hint="files as published hold 0 for other and 1..150 for classes, so undo any shift (255 means "
    "that 1 was subtracted) or unpack the archive again",
)

_ARCHIVE = "http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip (923 MB)"
_FOLDERS = {"train": "training", "val": "validation"}
_PLACES = ("", "ADEChallengeData2016/", "ade20k/", "ade20k/ADEChallengeData2016/")
# What only the full release has.
_FULL_MARKS = (
    "index_ade20k.*", "*/index_ade20k.*", "ADE20K_20*", "images/ADE", "images/training/?/*",
    "images/training/*_seg.png",
)  # fmt: skip


class Ade20k(FileDataset):
    """SceneParse150."""

    name = "ade20k"
    official_counts: ClassVar[Mapping[str, int]] = {"train": 20_210, "val": 2_000}
    layouts = LAYOUTS["ade20k"]
    scored_as = "ADE20K 150"
    # Flag, the last class: a thousand published files without it are a sign, not a chance.
    numbering = PublishedNumbering(
        dataset=name, table=TABLE, telling=frozenset({150}), telling_files=1000
    )

    @classmethod
    def find(cls, root: Path, split: str) -> SplitFiles:
        """Find the challenge's folders; the full data set in their place is refused."""
        folder = _FOLDERS[split]
        images, annotations = (
            [f"{place}{role}/{{split}}" for place in _PLACES] for role in ("images", "annotations")
        )
        place = located(root, split, images, annotations, official=folder)
        if place.labels is None and is_full_release(root):
            raise UserError(
                f"{cls.name}: {root} holds the full ADE20K (over 3,000 classes, *_seg.png), "
                f"SceneParse150 with 150 classes was expected. {cls.how_to_get(split)}"
            )
        sought = f"photos in images/{folder}/, label maps in annotations/{folder}/"
        photos, labels = require_both(cls, root, split, place.photos, place.labels, sought)
        return paired(
            listing(photos, files.PHOTO_EXTENSIONS), listing(labels, files.MAP_EXTENSIONS)
        )

    @classmethod
    def label_files_of(cls, root: Path) -> LabelFiles:
        """Take values 1..150, and 0 for "other"."""
        return LABEL_FILES

    @classmethod
    def how_to_get(cls, split: str) -> str:
        """Name the archive of the challenge."""
        return f"Unpack {_ARCHIVE} into the data root"

    @classmethod
    def positional_file(cls, root: Path, split: str, stem: str, label_map: Path) -> Path:
        """Return distances/{training,validation}/, beside annotations/."""
        return label_map.parents[2] / "distances" / label_map.parent.name / f"{stem}.npy"

    @classmethod
    def notes(cls, root: Path) -> list[str]:
        """Say which of the two releases this is."""
        lines = ["release: SceneParse150 (ADEChallengeData2016), 150 classes"]
        if is_full_release(root):
            lines.append(
                "the full ADE20K lies there too; it is not read, and scores on it are not "
                "comparable"
            )
        return lines


def is_full_release(root: Path) -> bool:
    """Return whether the full ADE20K (2016 or 2021) lies below `root`."""
    marks = (path for mark in _FULL_MARKS for path in root.glob(mark))
    return any(not path.name.startswith(".") for path in marks)
