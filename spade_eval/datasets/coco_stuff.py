# SPDX-License-Identifier: Apache-2.0
"""COCO-Stuff (164k): photos of COCO 2017 with 182 classes, from either of two folder layouts.

Official layout: `val2017/` (or `images/val2017/`) with `stuffthingmaps_trainval2017/val2017/`, as
the archives unpack. SPADE layout: `val_img/`, `val_label/`, `val_inst/`, as the SPADE release ships
its samples. Label values are the published ids minus one, 255 is unlabelled. Instance maps are
optional; only the boundaries between their ids carry meaning.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from spade_eval.datasets import files, preprocess
from spade_eval.datasets.base import LabelSpace, Sample, Size
from spade_eval.datasets.cocostuff_classes import CLASS_NAMES, PALETTE
from spade_eval.errors import UserError, lookup

LABEL_SPACE = LabelSpace(class_names=CLASS_NAMES, palette=PALETTE, has_unlabelled=True)

_IMAGES = "http://images.cocodataset.org/zips"
_LABELS = "http://calvin.inf.ed.ac.uk/wp-content/uploads/data/cocostuffdataset"
# split -> (archive, its size), as listed by the COCO-Stuff project
_PHOTO_ARCHIVES = {
    "train": f"{_IMAGES}/train2017.zip (18 GB)",
    "val": f"{_IMAGES}/val2017.zip (1 GB)",
}
_LABEL_ARCHIVE = f"{_LABELS}/stuffthingmaps_trainval2017.zip (659 MB)"


class AbsentSplitError(UserError):
    """Nothing of the split is under the data root."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The folders that hold one split."""

    photos: Path
    labels: Path
    instances: Path | None


@dataclass(frozen=True, kw_only=True)
class SampleFiles:
    photo: Path
    label_map: Path
    instance_map: Path | None


class CocoStuff:
    """One split at one size; the files are paired by stem when the object is made."""

    name = "cocostuff"

    def __init__(
        self, split: str, size: Size = (256, 256), data_root: Path | str | None = None
    ) -> None:
        self.split = split
        self.size = size
        self.label_space = LABEL_SPACE
        layout = find_layout(data_root, split)
        self.has_instances = layout.instances is not None
        self._files, problems = pair_files(layout)
        if problems:
            raise UserError("; ".join(problems))
        self._names = list(self._files)
        self._evaluation = preprocess.evaluation(size)
        self._training = preprocess.training(size)

    def __len__(self) -> int:
        return len(self._names)

    @property
    def names(self) -> list[str]:
        """Stems in lexicographic order: COCO ids are padded with zeros, so ascending."""
        return list(self._names)

    def __getitem__(self, index: int) -> Sample:
        """The sample resized to `size`, aspect ratio not kept."""
        sample = self._read(self._names[index])
        return _preprocessed(sample, self._evaluation, preprocess.Placement())

    def training_sample(self, index: int, epoch: int, seed: int) -> Sample:
        """The sample resized to 286/256 of `size`, then cropped and flipped at random."""
        sample = self._read(self._names[index])
        generator = preprocess.sample_generator(seed, epoch, index)
        height, width = sample.label_map.shape
        placement = self._training.draw((height, width), generator)
        return _preprocessed(sample, self._training, placement)

    def fingerprint(self) -> str:
        """SHA-256 of split, size, preprocessing version and every file's stem and byte count.

        Contents are not read: hashing 19 GB at each start would cost minutes. An edit that keeps
        the byte count of a file therefore goes unseen. Folder names do not enter, so the same
        files in the other layout are the same data.
        """
        digest = hashlib.sha256()
        digest.update(f"{self.name} {self.split} {self.size} ".encode())
        digest.update(f"preprocess {preprocess.PREPROCESS_VERSION}\n".encode())
        for stem, found in self._files.items():
            paths = (found.photo, found.label_map, found.instance_map)
            sizes = [str(path.stat().st_size) if path else "-" for path in paths]
            digest.update(f"{stem} {' '.join(sizes)}\n".encode())
        return digest.hexdigest()

    def _read(self, stem: str) -> Sample:
        return read_sample(stem, self._files[stem])


def read_sample(stem: str, paths: SampleFiles) -> Sample:
    """The sample as stored; files of different sizes are refused."""
    photo = files.read_photo(paths.photo)
    size = (photo.shape[0], photo.shape[1])
    label_map = files.read_label_map(paths.label_map, LABEL_SPACE.num_classes)
    files.require_same_size(paths.photo, size, paths.label_map, label_map.shape)
    instance_map = None
    if paths.instance_map is not None:
        instance_map = files.read_instance_map(paths.instance_map)
        files.require_same_size(paths.photo, size, paths.instance_map, instance_map.shape)
    return Sample(name=stem, label_map=label_map, instance_map=instance_map, photo=photo)


def find_layout(data_root: Path | str | None, split: str) -> Layout:
    """The folders of `split` under `data_root`, or a `UserError` that says where to get them."""
    lookup(_PHOTO_ARCHIVES, split, "split of cocostuff")
    if data_root is None:
        raise UserError(f"cocostuff needs a data root, none was given. {_how_to_get(split)}")
    root = Path(data_root)
    photos = _first_folder(root, (f"{split}_img", f"{split}2017", f"images/{split}2017"))
    label_names = (
        f"{split}_label",
        f"stuffthingmaps_trainval2017/{split}2017",
        f"stuffthingmaps/{split}2017",
        f"annotations/{split}2017",
        f"annotations/{split}",
    )
    labels = _first_folder(root, label_names)
    if photos is None or labels is None:
        kind = UserError if photos or labels else AbsentSplitError
        raise kind(_missing(root, split, photos, labels))
    instances = _first_folder(root, (f"{split}_inst", f"instances/{split}2017"))
    return Layout(photos=photos, labels=labels, instances=instances)


def pair_files(layout: Layout) -> tuple[dict[str, SampleFiles], list[str]]:
    """The samples that every folder has, by stem, and one line per folder that lacks files."""
    photos = files.files_by_stem(layout.photos, files.PHOTO_EXTENSIONS)
    maps = [layout.labels] + ([layout.instances] if layout.instances else [])
    listed = [photos, *(files.files_by_stem(folder, files.MAP_EXTENSIONS) for folder in maps)]
    every = set().union(*listed)
    problems = [
        f"{folder}: {len(every - set(found))} files are missing that its partner folders have "
        f"({files.shortened(sorted(every - set(found)))}); add them or remove their partners"
        for folder, found in zip((layout.photos, *maps), listed, strict=True)
        if every - set(found)
    ]
    if not every:
        problems.append(f"{layout.photos} holds no photos; unpack the archives again")
    labels, instances = listed[1], listed[2] if layout.instances else {}
    paired = {
        stem: SampleFiles(photo=photo, label_map=labels[stem], instance_map=instances.get(stem))
        for stem, photo in photos.items()
        if all(stem in found for found in listed)
    }
    return paired, problems


def _preprocessed(
    sample: Sample, settings: preprocess.Preprocessing, placement: preprocess.Placement
) -> Sample:
    instances = sample.instance_map
    return Sample(
        name=sample.name,
        label_map=settings.apply_map(sample.label_map, placement),
        instance_map=None if instances is None else settings.apply_map(instances, placement),
        photo=settings.apply_photo(sample.photo, placement),
    )


def _first_folder(root: Path, names: tuple[str, ...]) -> Path | None:
    return next((root / name for name in names if (root / name).is_dir()), None)


def _missing(root: Path, split: str, photos: Path | None, labels: Path | None) -> str:
    sought = (
        f"photos in {split}2017/, images/{split}2017/ or {split}_img/, label maps in "
        f"stuffthingmaps_trainval2017/{split}2017/, annotations/{split}2017/ or {split}_label/"
    )
    found = f"only {photos or labels} was" if photos or labels else "no folder of the split was"
    return f"cocostuff: {found} found in {root}, expected: {sought}. {_how_to_get(split)}"


def _how_to_get(split: str) -> str:
    return (
        f"Unpack {_PHOTO_ARCHIVES[split]} into the data root and {_LABEL_ARCHIVE} into its folder "
        "stuffthingmaps_trainval2017/; or use --dataset scenes, which needs no files"
    )
