# SPDX-License-Identifier: Apache-2.0
"""What the values in a dataset's label files mean: file value -> label value of the suite.

Files number classes as their project chose to (ADE20K counts from 1 and keeps 0 for "other",
Cityscapes stores ids of which 19 are scored); the suite numbers them 0..num_classes-1 and uses 255
for unlabelled pixels everywhere. This is the only place where one becomes the other.
"""

import functools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spade_eval.datasets import files
from spade_eval.datasets.base import LabelSpace
from spade_eval.datasets.palettes import Colours
from spade_eval.models.labels import IGNORE_INDEX

_NO_LABEL = 254  # what values without a meaning become before they are refused
MOST_CLASSES = _NO_LABEL


@dataclass(frozen=True, kw_only=True)
class LabelFiles:
    """`values[k]` is the file value of label value k; `unlabelled` values become 255."""

    space: LabelSpace
    values: tuple[int, ...]
    unlabelled: tuple[int, ...] = ()
    hint: str = "map them to class ids of the dataset"  # for values that mean nothing

    def __post_init__(self) -> None:
        assert len(self.values) == self.space.num_classes <= MOST_CLASSES
        assert self.space.has_unlabelled == bool(self.unlabelled)
        assert len({*self.values, *self.unlabelled}) == len(self.values) + len(self.unlabelled)

    @functools.cached_property
    def label_of(self) -> NDArray[np.uint8]:
        """The label value of each file value, `_NO_LABEL` where it means nothing."""
        table = np.full(max(255, *self.values, *self.unlabelled) + 2, _NO_LABEL, dtype=np.uint8)
        table[list(self.values)] = np.arange(len(self.values))
        table[list(self.unlabelled)] = IGNORE_INDEX
        return table

    @functools.cached_property
    def _colours(self) -> Colours:
        """The colours by which a palette file shows that its indices are these file values."""
        classes = zip(self.values, self.space.palette, strict=True)
        return {**dict(classes), **dict.fromkeys(self.unlabelled)}

    @functools.cached_property
    def _offset(self) -> int | None:
        """d if label = file value - d, modulo 256, for classes and the unlabelled value alike."""
        offset = self.values[0]
        consecutive = self.values == tuple(range(offset, offset + len(self.values)))
        wraps = all((value - offset) % 256 == IGNORE_INDEX for value in self.unlabelled)
        return offset if consecutive and wraps and self.values[-1] < 256 else None

    def read(self, path: Path) -> NDArray[np.uint8]:
        """Read (H, W) label values; a file with other values is a `LabelValueError`."""
        ids = files.read_ids(path, "class", self._colours)
        if ids.dtype == np.uint8 and self._offset is not None:
            return self._shifted(ids.astype(np.uint8, copy=False), self._offset, path)
        table = self.label_of
        if ids.dtype == np.uint8:  # three times as fast as indexing
            content = bytearray(ids.tobytes().translate(table[:256].tobytes()))
            labels = np.frombuffer(content, dtype=np.uint8).reshape(ids.shape)
        else:
            labels = table[np.where((ids < 0) | (ids >= len(table)), len(table) - 1, ids)]
        if (labels == _NO_LABEL).any():
            raise self._refusal(path)
        return labels

    def ids_in(self, path: Path) -> set[int]:
        """Return the ids that a file holds, wrong ones too; none where it cannot be read."""
        try:
            return self.values_of(np.unique(self.read(path)).tolist())
        except files.LabelValueError as error:
            return set(error.held)
        except files.FileError:
            return set()

    def values_of(self, labels: Collection[int]) -> set[int]:
        """Return the file values of label values that were read, unlabelled ones too."""
        values = {self.values[label] for label in labels if label != IGNORE_INDEX}
        return values | set(self.unlabelled if IGNORE_INDEX in labels else ())

    def _shifted(self, ids: NDArray[np.uint8], offset: int, path: Path) -> NDArray[np.uint8]:
        """Shift ids as the published data sets need it, at the speed of decoding."""
        labels = ids - np.uint8(offset) if offset else ids
        # One more turns 255 into 0, so that the largest value alone decides.
        above = labels + np.uint8(1) if self.unlabelled else labels
        allowed = len(self.values) if self.unlabelled else len(self.values) - 1
        if above.max(initial=0) > allowed:
            raise self._refusal(path)
        return labels

    def _refusal(self, path: Path) -> files.LabelValueError:
        known = {*self.values, *self.unlabelled}
        values = np.unique(files.read_ids(path, "class", self._colours)).tolist()
        wrong = tuple(value for value in values if value not in known)
        expected = text_of_values(self.values)
        if self.unlabelled:
            expected += f" or {files.shortened(self.unlabelled)} (unlabelled)"
        error = files.LabelValueError(
            f"{path}: label ids {files.shortened(wrong, limit=8)} were found, {expected} were "
            f"expected; {self.hint}",
            path,
            wrong,
        )
        error.held = tuple(values)
        return error


def numbered_from_zero(space: LabelSpace, hint: str | None = None) -> LabelFiles:
    """Describe files whose values are the label values, 255 where unlabelled."""
    unlabelled = (IGNORE_INDEX,) if space.has_unlabelled else ()
    values = tuple(range(space.num_classes))
    if hint is None:
        hint = f"map them to class ids of the dataset or set them to {IGNORE_INDEX}"
    return LabelFiles(space=space, values=values, unlabelled=unlabelled, hint=hint)


def text_of_values(values: Sequence[int]) -> str:
    """Write `0..181`, or the values themselves where they have gaps."""
    ordered = sorted(values)
    if ordered == list(range(ordered[0], ordered[-1] + 1)) and len(ordered) > 2:
        return f"{ordered[0]}..{ordered[-1]}"
    return files.shortened(ordered, limit=8)
