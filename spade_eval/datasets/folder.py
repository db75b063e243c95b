# SPDX-License-Identifier: Apache-2.0
"""A dataset of one's own: folders of photos and label maps, described by `dataset.toml`.

`spade-eval data check --dataset folder --data-root DIR` reads the label files and proposes the
description where there is none.
"""

from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

from spade_eval.datasets import files
from spade_eval.datasets.file_dataset import (
    FileDataset,
    SplitFiles,
    first_folder,
    listing,
    only_split,
    paired,
    require_both,
)
from spade_eval.datasets.folder_description import FILE_NAME, read_description
from spade_eval.datasets.label_files import LabelFiles
from spade_eval.errors import UserError


class Folder(FileDataset):
    """Photos, label maps and optional instance maps of any origin."""

    name = "folder"
    budgets: ClassVar = MappingProxyType({"paper": None})

    @classmethod
    def find(cls, root: Path, split: str) -> SplitFiles:
        """Find the folders that the description names."""
        described = read_description(root)
        images = described.images.replace("{split}", split)
        ids = described.labels.replace("{split}", split)
        photos, labels = require_both(
            cls,
            root,
            split,
            first_folder(root, [images]),
            first_folder(root, [ids]),
            f"photos in {images}/, label maps in {ids}/",
        )
        instances = None
        if described.instances is not None:
            instances = root / described.instances.replace("{split}", split)
        if instances is not None and not instances.is_dir():
            raise UserError(
                f"{root / FILE_NAME}: instances names {instances}, which is no folder; correct "
                "it, or leave it out if there are no instance maps"
            )
        whole = paired(
            listing(photos, files.PHOTO_EXTENSIONS),
            listing(labels, files.MAP_EXTENSIONS),
            listing(instances, files.MAP_EXTENSIONS) if instances else None,
        )
        if "{split}" in described.images:
            return whole
        return only_split(whole, split, described.val_share, root)

    @classmethod
    def label_files_of(cls, root: Path) -> LabelFiles:
        """Take the values that are described."""
        return read_description(root).label_files

    @classmethod
    def how_to_get(cls, split: str) -> str:
        """Say where the names of the folders come from."""
        return f"Correct the folders named in {FILE_NAME}"
