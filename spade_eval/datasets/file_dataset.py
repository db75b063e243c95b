# SPDX-License-Identifier: Apache-2.0
"""What all datasets of files share: pairing, reading, preprocessing and the fingerprint.

A dataset says where its files lie (`find`) and what its label values mean (`label_files_of`); the
rest is here, in `layouts` and in `pairing`, whose names a dataset's own file takes from here. Files
are paired by stem when the object is made, and leftovers are refused by name.
"""

import contextlib
import functools
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from spade_eval.datasets import files, lossy_maps, preprocess
from spade_eval.datasets.aspect import note_of_aspect
from spade_eval.datasets.base import Facts, Sample
from spade_eval.datasets.fingerprints import content_hashes
from spade_eval.datasets.label_files import LabelFiles
from spade_eval.datasets.layouts import first_folder as first_folder
from spade_eval.datasets.numberings import PublishedNumbering
from spade_eval.datasets.orientation import is_turned, note_of_turned
from spade_eval.datasets.pairing import Listing as Listing
from spade_eval.datasets.pairing import SampleFiles, SplitFiles
from spade_eval.datasets.pairing import listing as listing
from spade_eval.datasets.pairing import paired as paired
from spade_eval.datasets.parallel import run_parallel
from spade_eval.datasets.positional_maps import PositionalMaps, Positions, skipped_value
from spade_eval.errors import UserError, lookup
from spade_eval.models.labels import Size

SPLITS = ("train", "val")
_FEWEST_DOUBTED = 200
"""Of a split's label maps, about as many are read to tell how they are numbered."""


class AbsentSplitError(UserError):
    """Nothing of the split is under the data root."""


class FileDataset(Facts):
    """One split at one size of a dataset that lies in folders below `data_root`."""

    name: str
    splits: ClassVar[Sequence[str]] = SPLITS
    official_counts: ClassVar[Mapping[str, int]] = {}
    training_crops: ClassVar[bool] = True
    numbering: ClassVar[PublishedNumbering | None] = None

    def __init__(
        self, split: str, size: Size = (256, 256), data_root: Path | str | None = None
    ) -> None:
        self.split = split
        self.size = size
        self.root = self.root_of(data_root, split)
        self.label_files = self.label_files_of(self.root)
        self.label_space = self.label_files.space
        split_files = self.find(self.root, split)
        if split_files.problems:
            raise UserError("; ".join(split_files.problems))
        self.has_instances = split_files.has_instances
        self._files = split_files.samples
        self._names = list(self._files)
        self.positional_maps = PositionalMaps(
            skipped_value(self.layouts, self.label_space.num_classes)
        )
        self._evaluation = preprocess.evaluation(size)
        self._training = preprocess.training(size) if self.training_crops else self._evaluation

    @classmethod
    def opened(cls, split: str, size: Size, data_root: Path) -> "FileDataset":
        """Open a split as the suite scores it."""
        return cls(split, size, data_root)

    @classmethod
    def find(cls, root: Path, split: str) -> SplitFiles:
        """Find the split's files; `AbsentSplitError` where nothing of it is there."""
        raise NotImplementedError

    @classmethod
    def label_files_of(cls, root: Path) -> LabelFiles:
        """Say what the values of the label files below `root` mean."""
        raise NotImplementedError

    @classmethod
    def how_to_get(cls, split: str) -> str:
        """Say what to download, and where to put it."""
        raise NotImplementedError

    @classmethod
    def positional_file(cls, root: Path, split: str, stem: str, label_map: Path) -> Path:
        """Say where the positional map of a label file lies, if there is one."""
        return root / "distances" / split / f"{stem}.npy"

    @classmethod
    def notes(cls, root: Path) -> list[str]:
        """Return what a check says besides counts, such as which release lies there."""
        return []

    @classmethod
    def root_of(cls, data_root: Path | str | None, split: str) -> Path:
        """Return the data root as a path; unknown splits and an absent root are refused."""
        lookup(dict.fromkeys(cls.splits), split, f"split of {cls.name}")
        if data_root is None:
            raise UserError(
                f"{cls.name} needs a data root, none was given. {cls.how_to_get(split)}"
            )
        return Path(data_root)

    def __len__(self) -> int:
        return len(self._names)

    @property
    def crops(self) -> bool:
        """Whether training samples are enlarged and cropped, or flipped alone."""
        return self.training_crops

    @property
    def names(self) -> list[str]:
        """Stems in lexicographic order."""
        return list(self._names)

    @property
    def files(self) -> dict[str, SampleFiles]:
        """The files of every sample, by stem."""
        return dict(self._files)

    def __getitem__(self, index: int) -> Sample:
        """Read the sample resized to `size`, aspect ratio not kept."""
        sample = self._read(self._names[index])
        return _preprocessed(sample, self._evaluation, preprocess.Placement())

    def stored_sample(self, index: int) -> Sample:
        """Read the sample as its files hold it, not resized."""
        return self._read(self._names[index])

    def training_sample(self, index: int, epoch: int, seed: int) -> Sample:
        """Return the sample resized to 286/256 of `size`, then cropped and flipped at random.

        Datasets that are not cropped (`training_crops`) are resized to `size` and flipped.
        """
        sample = self._read(self._names[index])
        generator = preprocess.sample_generator(seed, epoch, index)
        height, width = sample.label_map.shape
        placement = self._training.draw((height, width), generator)
        return _preprocessed(sample, self._training, placement)

    def stored_label_map(self, index: int) -> NDArray[np.uint8]:
        """Return (H', W') label values as the file holds them, not resized."""
        return self.label_files.read(self._files[self._names[index]].label_map)

    def described(self) -> str:
        """Say in lines what the samples depend on besides the files."""
        labels = self.label_files
        return (
            f"{self.name} {self.split} {self.size} preprocess {preprocess.PREPROCESS_VERSION}\n"
            f"{labels.space} {labels.values} {labels.unlabelled}\n"
        )

    def fingerprint(self) -> str:
        """Hash all that the samples depend on by SHA-256, once per opened dataset.

        Split, size, version of the preprocessing, what label values mean, the palette, and every
        file's stem and content. Folder names do not enter, so the same files in another layout
        are the same data.
        """
        return self._fingerprint

    @functools.cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.sha256(self.described().encode())
        roles = {
            stem: (sample.photo, sample.label_map, sample.instance_map)
            for stem, sample in self._files.items()
        }
        hashes = content_hashes(path for paths in roles.values() for path in paths if path)
        for stem, paths in roles.items():
            contents = " ".join(hashes[path] if path else "-" for path in paths)
            digest.update(f"{stem} {contents}\n".encode())
        return digest.hexdigest()

    def photo_hashes(self, count: int) -> list[str]:
        """Return the SHA-256 of the content of each of the first photos; no other file is read."""
        paths = [sample.photo for sample in list(self._files.values())[:count]]
        hashes = content_hashes(paths)
        return [hashes[path] for path in paths]

    def photo_notes(self) -> tuple[str, ...]:
        """Name photos that viewers turn or a resize squeezes; unreadable ones are refused later."""
        return self._photo_notes

    @functools.cached_property
    def _photo_notes(self) -> tuple[str, ...]:
        turned, sizes = [], Counter[Size]()
        for sample in self._files.values():
            with contextlib.suppress(files.FileError):
                turned += [sample.photo.name] if is_turned(sample.photo) else []
                if self.scored_as is None:  # papers squeeze the published data sets
                    sizes[files.read_size(sample.photo)] += 1
        return (*note_of_turned(turned), *note_of_aspect(sizes, self.size))

    def label_doubts(self) -> tuple[str, ...]:
        """Say why the label maps seem to be numbered otherwise; a part of them is read for it."""
        return self._label_doubts

    @functools.cached_property
    def _label_doubts(self) -> tuple[str, ...]:
        lossy = lossy_maps.doubts_of(sample.label_map.parent for sample in self._files.values())
        if self.numbering is None:
            return lossy
        step = max(1, len(self) // max(_FEWEST_DOUBTED, self.numbering.telling_files))
        paths = [sample.label_map for sample in self._files.values()][::step]
        ids = set().union(*run_parallel(self.label_files.ids_in, paths))
        return (*lossy, *self.numbering.doubts(ids, len(paths)))

    def _read(self, stem: str) -> Sample:
        sample = read_sample(stem, self._files[stem], self.label_files)
        label_file = self._files[stem].label_map
        stored = self.positional_file(self.root, self.split, stem, label_file)
        positions = functools.partial(
            self.positional_maps.of, stem, label_file, stored, sample.label_map
        )
        return replace(sample, positions=positions)


def read_sample(stem: str, paths: SampleFiles, label_files: LabelFiles) -> Sample:
    """Read a sample as stored; files of different sizes are refused."""
    photo = files.read_photo(paths.photo)
    size = (photo.shape[0], photo.shape[1])
    label_map = label_files.read(paths.label_map)
    files.require_same_size(paths.photo, size, paths.label_map, label_map.shape)
    instance_map = None
    if paths.instance_map is not None:
        instance_map = files.read_instance_map(paths.instance_map)
        files.require_same_size(paths.photo, size, paths.instance_map, instance_map.shape)
    return Sample(name=stem, label_map=label_map, instance_map=instance_map, photo=photo)


def is_validation(stem: str, share: float) -> bool:
    """Return whether a sample belongs to val; a function of its name, for about `share` of them."""
    number = int.from_bytes(hashlib.sha256(stem.encode()).digest()[:8], "big")
    return number < share * 2**64


def only_split(whole: SplitFiles, split: str, val_share: float, root: Path) -> SplitFiles:
    """Return one split of a folder that has none of its own; an empty one is refused."""
    wanted = split == "val"
    samples = {
        stem: sample
        for stem, sample in whole.samples.items()
        if is_validation(stem, val_share) == wanted
    }
    if not samples and not whole.problems:
        raise UserError(
            f"{root}: none of its {len(whole.samples)} samples is in {split} when about "
            f"{val_share:.3g} of them are for val, chosen by the hash of their names; sort them "
            "into the folders train/ and val/, or add more"
        )
    return SplitFiles(samples=samples, has_instances=whole.has_instances, problems=whole.problems)


def require_both(
    dataset: type[FileDataset],
    root: Path,
    split: str,
    photos: Path | None,
    labels: Path | None,
    sought: str,
) -> tuple[Path, Path]:
    """Return both folders, or say what was sought and where to get it."""
    if photos is not None and labels is not None:
        return photos, labels
    kind = UserError if photos or labels else AbsentSplitError
    present = f"only {photos or labels} was" if photos or labels else "no folder of the split was"
    raise kind(
        f"{dataset.name}: {present} found in {root}, expected: {sought}. "
        f"{dataset.how_to_get(split)}"
    )


def _preprocessed(
    sample: Sample, settings: preprocess.Preprocessing, placement: preprocess.Placement
) -> Sample:
    instances, made = sample.instance_map, sample.positions
    return Sample(
        name=sample.name,
        label_map=settings.apply_map(sample.label_map, placement),
        instance_map=None if instances is None else settings.apply_map(instances, placement),
        photo=settings.apply_photo(sample.photo, placement),
        positions=None if made is None else functools.partial(_placed, made, settings, placement),
        mirrored=placement.flip,
    )


def _placed(
    made: Positions, settings: preprocess.Preprocessing, placement: preprocess.Placement
) -> NDArray[np.float32]:
    return settings.apply_positions(made(), placement)
