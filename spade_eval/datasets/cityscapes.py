# SPDX-License-Identifier: Apache-2.0
"""Cityscapes with fine annotations: 34 label ids and 16-bit instance maps.

`leftImg8bit/{train,val}/<city>/*_leftImg8bit.png` with `gtFine/{train,val}/<city>/` holding
`*_gtFine_labelIds.png` and, if the generator wants edges, `*_gtFine_instanceIds.png`. Files are
paired by city, sequence and frame, the first three parts of their names. Label values are the
label ids 0..33; `labelTrainIds` files are refused, since 19 classes and 255 read as ids would
give wrong pictures without an error. Samples are resized to the size (twice as wide as high in the
papers) without a crop, in training too.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

from spade_eval.datasets.base import LabelSpace
from spade_eval.datasets.cityscapes_classes import TABLE
from spade_eval.datasets.file_dataset import (
    FileDataset,
    Listing,
    SplitFiles,
    paired,
    require_both,
)
from spade_eval.datasets.label_files import LabelFiles, numbered_from_zero
from spade_eval.datasets.layouts import files_in, located
from spade_eval.datasets.numberings import PublishedNumbering
from spade_eval.errors import UserError
from spade_eval.models.labels import LAYOUTS

LABEL_SPACE = LabelSpace(class_names=TABLE.class_names, palette=TABLE.palette, has_unlabelled=False)
LABEL_FILES = numbered_from_zero(
    LABEL_SPACE,
    hint="labelIds files hold ids 0..33, while 255 is a mark of labelTrainIds files, which this "
    "generator cannot be fed; put the *_gtFine_labelIds.png files there",
)

_PLACES = ("", "cityscapes/", "Cityscapes/")


class Cityscapes(FileDataset):
    """Names are `<city>_<sequence>_<frame>`."""

    name = "cityscapes"
    official_counts: ClassVar[Mapping[str, int]] = {"train": 2_975, "val": 500}
    training_crops = False
    layouts = LAYOUTS["cityscapes"]
    scored_as = "Cityscapes 19"
    # Above the train ids: vegetation, sky, people and vehicles.
    numbering = PublishedNumbering(dataset=name, table=TABLE, telling=frozenset(range(19, 34)))
    budgets: ClassVar = MappingProxyType({
        "smoke": {"size": (128, 256), "steps": 30},
        "default": {"size": (128, 256)},
        "paper": {"size": (256, 512)},
    })  # fmt: skip

    @classmethod
    def find(cls, root: Path, split: str) -> SplitFiles:
        """Find all cities of the split; instance maps if any are there, then for every sample."""
        left, fine = (
            [f"{place}{archive}{role}/{{split}}" for archive in ("", f"{role}_trainvaltest/")
             for place in _PLACES]
            for role in ("leftImg8bit", "gtFine")
        )  # fmt: skip
        place = located(root, split, left, fine)
        sought = f"photos in leftImg8bit/{split}/<city>/, label maps in gtFine/{split}/<city>/"
        photos, labels = require_both(cls, root, split, place.photos, place.labels, sought)
        label_maps = _listing(labels, "gtFine_labelIds")
        if not label_maps.files and _listing(labels, "gtFine_labelTrainIds").files:
            raise UserError(
                f"{labels}: only *_gtFine_labelTrainIds.png were found, *_gtFine_labelIds.png "
                f"(ids 0..33) were expected: generators of Cityscapes are fed 34 or 35 classes, "
                f"scores alone use the 19 train ids. {cls.how_to_get(split)}"
            )
        instances = _listing(labels, "gtFine_instanceIds")
        return paired(
            _listing(photos, "leftImg8bit"), label_maps, instances if instances.files else None
        )

    @classmethod
    def label_files_of(cls, root: Path) -> LabelFiles:
        """Take ids 0..33; no value means unlabelled, since id 0 is a class of its own."""
        return LABEL_FILES

    @classmethod
    def positional_file(cls, root: Path, split: str, stem: str, label_map: Path) -> Path:
        """Return *_gtFine_distance.npy beside the label file."""
        return label_map.with_name(f"{stem}_gtFine_distance.npy")

    @classmethod
    def how_to_get(cls, split: str) -> str:
        """Name the archives; they need an account."""
        return (
            "Unpack leftImg8bit_trainvaltest.zip (11 GB) and gtFine_trainvaltest.zip (241 MB) from "
            "https://www.cityscapes-dataset.com/downloads/ into the data root"
        )


def _listing(folder: Path, ending: str) -> Listing:
    """Files of every city by the first three parts of their names."""
    files: dict[str, Path] = {}
    for path in files_in(folder, (".png",)):
        if not path.stem.endswith(f"_{ending}"):
            continue
        stem = "_".join(path.stem.split("_")[:3])
        if stem in files:
            raise UserError(
                f"{folder}: {files[stem].name} and {path.name} share {stem}, one file per frame "
                "was expected; remove one of them"
            )
        files[stem] = path
    return Listing(place=folder / f"*/*_{ending}.png", files=files)
