# SPDX-License-Identifier: Apache-2.0
"""Where the files of a dataset may lie below its root: one rule for every dataset of files.

1. Folders are named as their archives name them. Where none is, a split may also be called by
   another of its `SPELLINGS`, and all of the dataset may lie up to two folders deeper, if that is
   one place alone: an archive unpacked into a folder of its own.
2. A folder that holds no file of the kind is read through the folders in it, up to two deeper: one
   for each city, or one named after its archive.
3. What macOS leaves (`._*`, `__MACOSX`), other hidden files, and the `*_labelTrainIds.png` that
   mmsegmentation puts beside label maps are not read.
4. Where one role has a folder for all splits and another has folders for each, a file of the
   shared folder belongs to the split that has its partner.
"""

import itertools
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from spade_eval.errors import UserError

SPELLINGS = {"train": ("train", "training"), "val": ("val", "validation", "valid")}
TRAIN_IDS = "_labelTrainIds"
_DEEPER = 2


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a split was found; `home` is the data root or a folder below it."""

    home: Path
    photos: Path | None
    labels: Path | None

    @property
    def is_whole(self) -> bool:
        """Whether both folders are there."""
        return self.photos is not None and self.labels is not None


def spelled(patterns: Sequence[str], split: str) -> list[str]:
    """Return the patterns with every spelling of the split in the place of `{split}`."""
    return [name for pattern in patterns for name in _filled(pattern, SPELLINGS[split])]


def first_folder(root: Path, names: Sequence[str]) -> Path | None:
    """Return the first of these folders below `root` that is there."""
    # `Path.is_dir` raises on names that no file system takes.
    return next((root / name for name in names if os.path.isdir(root / name)), None)


def located(
    root: Path, split: str, photos: Sequence[str], labels: Sequence[str], official: str = ""
) -> Place:
    """Find both folders of a split by patterns with `{split}`, of which `official` is the name.

    Several places below the root that hold both are refused.
    """
    names = (official or split,)
    here = _place(root, photos, labels, names)
    levels = itertools.chain([[root]], itertools.islice(_levels(root), _DEEPER))
    while not here.is_whole and (level := next(levels, None)) is not None:
        places = [_place(folder, photos, labels, SPELLINGS[split]) for folder in level]
        whole = [place for place in places if place.is_whole]
        if len(whole) > 1:
            raise UserError(
                f"{whole[0].home} and {whole[1].home} both hold photos and label maps of {split}, "
                "one place was expected; give one of them with --data-root"
            )
        here = whole[0] if whole else here
    return here


def visible(folder: Path) -> list[Path]:
    """Return what a folder holds, in order, without what macOS and other programs hide there."""
    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and path.name != "__MACOSX"
    )


def files_in(folder: Path, extensions: Sequence[str]) -> list[Path]:
    """Return the files of these extensions (any case) in the first level that has any."""
    for level in _levels(folder):
        if found := [path for path in level if path.suffix.lower() in extensions]:
            return found
    return []


def other_endings(folder: Path, stems: Set[str], extensions: Sequence[str]) -> Counter[str]:
    """Count files of these stems that are not read, by how their names end."""
    endings: Counter[str] = Counter()
    for path in (path for level in _levels(folder) for path in level):
        stem, ending = stem_of(path), path.suffix
        if stem.endswith(TRAIN_IDS):
            stem, ending = stem.removesuffix(TRAIN_IDS), TRAIN_IDS + ending
        if stem in stems and ending.lower() not in extensions and path.is_file():
            endings[ending] += 1
    return endings


def folder_of_ids(folder: Path) -> Path:
    """Return where ids that are made of a folder's label maps belong: `ids/` in its place."""
    if folder.name in itertools.chain(*SPELLINGS.values()):
        return folder.parent.with_name("ids") / folder.name
    return folder.with_name("ids")


def stem_of(path: Path) -> str:
    """Return a file's stem, whose accents are composed: macOS writes them decomposed."""
    return unicodedata.normalize("NFC", path.stem)


def _place(home: Path, photos: Sequence[str], labels: Sequence[str], names: Sequence[str]) -> Place:
    found = [
        first_folder(home, [name for pattern in patterns for name in _filled(pattern, names)])
        for patterns in (photos, labels)
    ]
    return Place(home=home, photos=found[0], labels=found[1])


def _filled(pattern: str, names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(pattern.replace("{split}", name) for name in names))


def _levels(folder: Path) -> Iterator[list[Path]]:
    """Yield what a folder holds, then what the folders in it hold."""
    level = [folder]
    for _ in range(1 + _DEEPER):
        level = [path for parent in level if parent.is_dir() for path in visible(parent)]
        yield level
