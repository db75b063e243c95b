# SPDX-License-Identifier: Apache-2.0
"""What a dataset is to the rest of the suite: named samples of label map, instance map and photo.

A sample is a pure function of (split, index) and, in training, of (seed, epoch, index): no global
random state, so that a killed training continues bitwise and the order of loading is free.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from spade_eval.errors import UserError
from spade_eval.models.labels import IGNORE_INDEX, SemanticLayout, Size


@dataclass(frozen=True, kw_only=True)
class LabelSpace:
    """The classes of a dataset: `class_names[k]` and `palette[k]` belong to label value k."""

    class_names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    # Whether photos have pixels of value `IGNORE_INDEX`; generators then get an "unknown" channel.
    has_unlabelled: bool

    @property
    def num_classes(self) -> int:
        return len(self.class_names)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One scene: all arrays have the same height and width."""

    name: str  # the stem that pairs label map, photo and synthesized image
    label_map: NDArray[np.uint8]  # (H, W), 0..num_classes-1 or IGNORE_INDEX
    instance_map: NDArray[np.int32] | None  # (H, W), ids that differ between neighbouring objects
    photo: NDArray[np.uint8]  # (H, W, 3) RGB
    # Makes (2, H, W), where pixels lie in their regions of the label map as it is stored; None:
    # that of `label_map` is the same.
    positions: Callable[[], NDArray[np.float32]] | None = None
    mirrored: bool = False  # left to right, as training samples may be
    # Made by `given_maps`: pixels may lack a class where the dataset knows no such pixels.
    is_given: bool = False


class Facts:
    """What is true of a dataset as a whole; its class states what differs from the usual."""

    # Changes to the budgets of `spade_eval.config` by name of the budget; None: there is none.
    budgets: ClassVar[Mapping[str, Mapping[str, Any] | None]] = MappingProxyType({})
    # Published orders of channels, by program; else those that the programs would choose.
    layouts: ClassVar[Mapping[str, SemanticLayout]] = MappingProxyType({})
    # `ScoredLabels.name` of the classes that published segmenters score; None: in-domain alone.
    scored_as: ClassVar[str | None] = None


class DatasetKind(Protocol):
    """A class of datasets, as a row of DATASETS."""

    @property
    def budgets(self) -> Mapping[str, Mapping[str, Any] | None]: ...
    @property
    def scored_as(self) -> str | None: ...

    def opened(self, split: str, size: Size, data_root: Path) -> "Dataset": ...


class Dataset(Protocol):
    """One split of a dataset at one size."""

    name: str
    split: str
    size: Size
    label_space: LabelSpace
    has_instances: bool

    @property
    def layouts(self) -> Mapping[str, SemanticLayout]:
        """Published orders of channels, where there are any; see `Facts`."""
        ...

    def __len__(self) -> int: ...

    @property
    def names(self) -> list[str]:
        """Stems in split order; unique."""
        ...

    def __getitem__(self, index: int) -> Sample:
        """Return the sample as it is scored: resized, never augmented."""
        ...

    def training_sample(self, index: int, epoch: int, seed: int) -> Sample:
        """Return the sample as trained on: crop and flip drawn from (seed, epoch, index) alone."""
        ...

    def fingerprint(self) -> str:
        """Return SHA-256 of what the split holds; equal ones mean the same data."""
        ...


@runtime_checkable
class HasOracle(Protocol):
    """A dataset that can photograph a scene again: the best that any generator could do."""

    def oracle_photo(self, index: int) -> NDArray[np.uint8]:
        """Return (H, W, 3) RGB: the same label and instance map in a style drawn afresh."""
        ...


@runtime_checkable
class HasStoredLabels(Protocol):
    """A dataset of label files, some of which are scored at the size at which they are stored."""

    def stored_label_map(self, index: int) -> NDArray[np.uint8]:
        """Return (H', W') label values, not resized."""
        ...


@runtime_checkable
class HasPhotoFiles(Protocol):
    """A dataset of photo files, of which some can be identified without reading the others."""

    def photo_hashes(self, count: int) -> list[str]:
        """Return the SHA-256 of the content of each of the first photos."""
        ...


@runtime_checkable
class HasPhotoNotes(Protocol):
    """A dataset of photo files, which may be read otherwise than viewers show them."""

    def photo_notes(self) -> tuple[str, ...]:
        """Return what a score on these photos must say about them."""
        ...


@runtime_checkable
class HasSegmenter(Protocol):
    """A dataset that may be the samples of another one, whose in-domain segmenter scores it."""

    @property
    def segmenter_of(self) -> str:
        """Return the name of that dataset."""
        ...


@runtime_checkable
class HasLabelDoubts(Protocol):
    """A dataset of label files, whose ids may be of another numbering than is expected."""

    def label_doubts(self) -> tuple[str, ...]:
        """Return why they seem to be; nothing where they do not."""
        ...


@runtime_checkable
class HasSetName(Protocol):
    """A dataset whose samples a list decides, so that its name alone does not say what it is."""

    set_name: str


def require_labelled(dataset: Dataset, count: int | None = None) -> None:
    """Refuse samples (the first `count`) of which no pixel has a class; reads up to one that has.

    Nothing can be learned from them, and nothing counted.
    """
    number = len(dataset) if count is None else count
    if not any((dataset[i].label_map != IGNORE_INDEX).any() for i in range(number)):
        raise UserError(
            f"no pixel of the {number} label maps of {dataset.name} ({dataset.split}) has a class, "
            "at least one was expected; compare their values with the classes: `spade-eval data "
            "check`"
        )


def set_name_of(dataset: Dataset) -> str:
    """Return what records call the data: the dataset, with its list where it has one."""
    return dataset.set_name if isinstance(dataset, HasSetName) else dataset.name


def segmenter_of(dataset: Dataset) -> str:
    """Return the name of the dataset whose in-domain segmenter scores this one: its own mostly."""
    return dataset.segmenter_of if isinstance(dataset, HasSegmenter) else dataset.name


def label_doubts_of(dataset: Dataset) -> tuple[str, ...]:
    """Return why a dataset's labels seem to be wrong; nothing if they are no files."""
    doubts = dataset.label_doubts() if isinstance(dataset, HasLabelDoubts) else ()
    return tuple(f"Label maps of {dataset.split}: {doubt}." for doubt in doubts)


def photo_notes_of(dataset: Dataset) -> tuple[str, ...]:
    """Return what the dataset says about its photos; nothing if they are no files."""
    return dataset.photo_notes() if isinstance(dataset, HasPhotoNotes) else ()
