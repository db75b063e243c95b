# SPDX-License-Identifier: Apache-2.0
"""Label maps that are painted: from samples and files of a dataset, and to such files.

A painted map has two layers. Labels are those of the suite (0..num_classes-1, 255 unlabelled).
Objects tell neighbours of one class apart, for generators that see instance edges: only where two
numbers meet is an edge, so that the numbers themselves mean nothing.
"""

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spade_eval.datasets import preprocess
from spade_eval.datasets.base import Dataset, LabelSpace, Sample
from spade_eval.datasets.file_dataset import FileDataset
from spade_eval.datasets.files import read_photo, read_size, text_of_size, values_outside
from spade_eval.datasets.label_files import LabelFiles, numbered_from_zero
from spade_eval.errors import UserError
from spade_eval.models.labels import IGNORE_INDEX, Size
from spade_eval.models.limits import MOST_UPLOAD_PIXELS

_FIRST_OBJECT = 256  # numbers below are those of classes
_MOST_OBJECTS = 2**16 - _FIRST_OBJECT


@dataclass(frozen=True)
class PaintedMap:
    """Both layers, (H, W)."""

    labels: NDArray[np.uint8]
    objects: NDArray[np.uint16]

    def sample(self) -> Sample:
        """Return what networks are given; there is no photo of it."""
        size = self.labels.shape
        photo = np.zeros((*size, 3), dtype=np.uint8)
        instances = self.objects.astype(np.int32)
        return Sample(name="painted", label_map=self.labels, instance_map=instances, photo=photo)


def of_sample(sample: Sample) -> PaintedMap:
    """Take the maps of a sample; of its instance map every edge is kept, and no other is made."""
    return PaintedMap(sample.label_map, _objects(sample.label_map, sample.instance_map))


def of_bytes(labels: bytes, objects: bytes | None, size: Size, space: LabelSpace) -> PaintedMap:
    """Read both layers as the page sends them: 8 bits, and 16 bits (little end first), by rows.

    Without objects every border between classes is one. `UserError` for another number of bytes
    and for labels that the dataset lacks.
    """
    pixels = size[0] * size[1]
    if len(labels) != pixels or (objects is not None and len(objects) != 2 * pixels):
        found = f"{len(labels):,} and {'no' if objects is None else format(len(objects), ',')}"
        raise UserError(
            f"the map has {found} bytes of labels and objects, expected {pixels:,} and "
            f"{2 * pixels:,} for {text_of_size(size)}; load the page again"
        )
    label_map = np.frombuffer(labels, dtype=np.uint8).reshape(size)
    wrong = values_outside(label_map, space.num_classes)
    if IGNORE_INDEX in label_map and not space.has_unlabelled:
        wrong = (*wrong, IGNORE_INDEX)
    if wrong:
        raise UserError(
            f"the map holds the label {wrong[0]}, expected 0..{space.num_classes - 1}"
            f"{' or 255' if space.has_unlabelled else ''}; load the page again"
        )
    if objects is None:
        return PaintedMap(label_map, label_map.astype(np.uint16))
    return PaintedMap(label_map, np.frombuffer(objects, dtype="<u2").reshape(size))


def read_label_file(content: bytes, dataset: Dataset) -> tuple[PaintedMap, str]:
    """Read a label file of the dataset, resized as its own are (nearest), and say if it was.

    `UserError` for what is no such file.
    """
    with _as_file(content) as path:
        stored = label_files_of(dataset).read(path)
    labels = preprocess.evaluation(dataset.size).apply_map(stored, preprocess.Placement())
    resized = ""
    if stored.shape != dataset.size:
        found = text_of_size((stored.shape[0], stored.shape[1]))
        resized = f"Resized from {found} to {text_of_size(dataset.size)}, nearest pixels."
    return PaintedMap(labels, _objects(labels, None)), resized


def read_photo_file(content: bytes, size: Size) -> NDArray[np.uint8]:
    """Read a photo -> (H, W, 3) at the size that is painted at; `UserError` for anything else."""
    with _as_file(content) as path:
        photo = read_photo(path)
    return preprocess.evaluation(size).apply_photo(photo, preprocess.Placement())


def label_file(labels: NDArray[np.uint8], dataset: Dataset) -> bytes:
    """Write a PNG of the values that the dataset's own label files have."""
    described = label_files_of(dataset)
    table = np.zeros(256, dtype=np.uint16)
    table[: len(described.values)] = described.values
    if described.unlabelled:
        table[IGNORE_INDEX] = described.unlabelled[0]
    values = table[labels]
    narrow = values.astype(np.uint8) if table.max() < 256 else values
    buffer = io.BytesIO()
    Image.fromarray(narrow).save(buffer, format="PNG")
    return buffer.getvalue()


def label_files_of(dataset: Dataset) -> LabelFiles:
    """Say what the values of a dataset's label files mean; of one without files, as exported."""
    if isinstance(dataset, FileDataset):
        return dataset.label_files
    return numbered_from_zero(dataset.label_space)


def _objects(labels: NDArray[np.uint8], instances: NDArray[np.int32] | None) -> NDArray[np.uint16]:
    """Number objects anew: the largest of a class as the class, which is what strokes paint."""
    if instances is None:
        return labels.astype(np.uint16)
    ids, places = np.unique(instances, return_inverse=True)
    if len(ids) > _MOST_OBJECTS:
        raise UserError(
            f"the map has {len(ids):,} objects, at most {_MOST_OBJECTS:,} were expected; choose "
            "another, or a smaller --size"
        )
    pairs = places.ravel().astype(np.int64) * 256 + labels.ravel()
    areas = np.bincount(pairs, minlength=len(ids) * 256).reshape(len(ids), 256)
    class_of, largest = areas.argmax(axis=1), areas.max(axis=1)
    numbers = _FIRST_OBJECT + np.arange(len(ids))
    for label in np.unique(class_of):
        own = np.flatnonzero(class_of == label)
        numbers[own[largest[own].argmax()]] = label
    return numbers[places.reshape(instances.shape)].astype(np.uint16)


@contextmanager
def _as_file(content: bytes) -> Iterator[Path]:
    """Put bytes where readers of files find them; its size in pixels is looked at beforehand."""
    with tempfile.TemporaryDirectory(prefix="spade-eval-paint-") as folder:
        path = Path(folder) / "file"
        path.write_bytes(content)
        try:
            height, width = read_size(path)
            if height * width > MOST_UPLOAD_PIXELS:
                raise UserError(
                    f"{path}: {height}x{width} pixels were found, at most {MOST_UPLOAD_PIXELS:,} "
                    "were expected; scale it down"
                )
            yield path
        except UserError as error:
            named = str(error).replace(str(path), "this file").replace(folder, "its folder")
            raise UserError(named) from error
