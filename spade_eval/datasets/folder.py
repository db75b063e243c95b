# SPDX-License-Identifier: Apache-2.0
"""A dataset of one's own: folders of photos and label maps, described by `dataset.toml`.

`spade-eval data check --dataset folder --data-root DIR` reads the label files and proposes the
description where there is none.
"""

import functools
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

from spade_eval.datasets import files
from spade_eval.datasets.base import Sample
from spade_eval.datasets.file_dataset import (
    FileDataset,
    Listing,
    SplitFiles,
    first_folder,
    listing,
    only_split,
    paired,
    require_both,
)
from spade_eval.datasets.flips import perhaps_mirrored
from spade_eval.datasets.folder_description import FILE_NAME, read_description
from spade_eval.datasets.label_files import LabelFiles
from spade_eval.datasets.layouts import SPELLINGS, spelled, visible
from spade_eval.datasets.pairing import without_other_splits
from spade_eval.errors import UserError
from spade_eval.models.labels import Size


class Folder(FileDataset):
    """Photos, label maps and optional instance maps of any origin."""

    name = "folder"
    budgets: ClassVar = MappingProxyType({"paper": None})

    def __init__(
        self, split: str, size: Size = (256, 256), data_root: Path | str | None = None
    ) -> None:
        super().__init__(split, size, data_root)
        title = read_description(self.root).name
        # What stands before the bracket says that no paper's numbers belong beside these.
        self.set_name = self.name if title is None else f"{self.name} ({title})"

    @functools.cached_property
    def crops(self) -> bool:
        """Whether training samples are enlarged and cropped, or flipped alone."""
        return read_description(self.root).crop

    @functools.cached_property
    def segmenter_of(self) -> str:
        """Return whose in-domain segmenter scores it."""
        return read_description(self.root).segmenter or self.name

    def training_sample(self, index: int, epoch: int, seed: int) -> Sample:
        """Return the sample cropped and flipped at random, or flipped alone where it is to be."""
        if self.crops:
            return super().training_sample(index, epoch, seed)
        return perhaps_mirrored(self[index], index, epoch, seed)

    def described(self) -> str:
        """Say what training samples depend on besides the files, where it is not the usual."""
        return super().described() if self.crops else f"{super().described()}not cropped\n"

    @classmethod
    def find(cls, root: Path, split: str) -> SplitFiles:
        """Find the folders that the description names."""
        described = read_description(root)
        images, ids = described.images, described.labels
        photos, labels = require_both(
            cls,
            root,
            split,
            first_folder(root, spelled([images], split)),
            first_folder(root, spelled([ids], split)),
            f"photos in {images}/, label maps in {ids}/, {{split}} being one of "
            f"{', '.join(SPELLINGS[split])}",
        )
        roles = [
            (images, listing(photos, files.PHOTO_EXTENSIONS)),
            (ids, listing(labels, files.MAP_EXTENSIONS)),
        ]
        if described.instances is not None:
            roles.append((described.instances, _instances(root, described.instances, split)))
        found = paired(*without_other_splits(root, split, roles))
        if any("{split}" in pattern for pattern, _ in roles):
            return found
        _require_no_splits(photos)
        return only_split(found, split, described.val_share, root)

    @classmethod
    def label_files_of(cls, root: Path) -> LabelFiles:
        """Take the values that are described."""
        return read_description(root).label_files

    @classmethod
    def how_to_get(cls, split: str) -> str:
        """Say where the names of the folders come from."""
        return f"Correct the folders named in {FILE_NAME}"


def _instances(root: Path, pattern: str, split: str) -> Listing:
    folder = first_folder(root, spelled([pattern], split))
    if folder is None:
        raise UserError(
            f"{root / FILE_NAME}: instances names {root / pattern.replace('{split}', split)}, "
            "which is no folder; correct it, or leave it out if there are no instance maps"
        )
    return listing(folder, files.MAP_EXTENSIONS)


def _require_no_splits(photos: Path) -> None:
    """Refuse to draw the splits anew where the folders in it are the splits."""
    names = {name for spellings in SPELLINGS.values() for name in spellings}
    present = [path.name for path in visible(photos) if path.is_dir() and path.name in names]
    if present:
        raise UserError(
            f"{photos}: holds the splits {' and '.join(present)}, but {FILE_NAME} names the folder "
            f"without them; write {photos.name}/{{split}} there"
        )
