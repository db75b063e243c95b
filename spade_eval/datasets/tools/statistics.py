# SPDX-License-Identifier: Apache-2.0
"""What a split's label maps hold, which no model has a part in: the shares of its classes.

Label files are counted at the size at which they are stored; a dataset without files is counted at
the size at which it is drawn. `pixel_share` is of all pixels, unlabelled ones included.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spade_eval.datasets.base import Dataset, HasStoredLabels, LabelSpace, set_name_of
from spade_eval.datasets.parallel import DEFAULT_WORKERS, Progress, run_parallel
from spade_eval.models.labels import IGNORE_INDEX


@dataclass(frozen=True, kw_only=True)
class LabelStatistics:
    """One split. Index 255 of an array is the unlabelled pixels, index k label value k."""

    dataset: str
    split: str
    label_space: LabelSpace
    num_images: int
    pixels: NDArray[np.int64]  # (256,)
    images: NDArray[np.int64]  # (256,) images that hold at least one pixel of it
    images_by_classes: NDArray[np.int64]  # [n]: images with exactly n classes

    @property
    def ignored_share(self) -> float:
        """Unlabelled pixels over all pixels."""
        return float(self.pixels[IGNORE_INDEX] / self.pixels.sum())

    def rows(self) -> Iterator[tuple[int, str, int, float, int, float]]:
        """Yield label value, name, pixels, their share, images, their share; unlabelled last."""
        names = [*enumerate(self.label_space.class_names), (IGNORE_INDEX, "(unlabelled)")]
        for label, name in names:
            pixels, images = int(self.pixels[label]), int(self.images[label])
            yield (
                label, name, pixels, pixels / int(self.pixels.sum()), images,
                images / self.num_images,
            )  # fmt: skip

    def lines(self) -> Iterator[str]:
        """Return a summary, then a line per class that occurs, the most frequent first."""
        numbers = np.repeat(np.arange(len(self.images_by_classes)), self.images_by_classes)
        yield (
            f"{self.split}: {self.num_images} images, {self.ignored_share:.2%} of the pixels "
            f"unlabelled; classes per image: mean {numbers.mean():.1f}, median "
            f"{np.median(numbers):g}, {numbers.min()} to {numbers.max()}"
        )
        yield "  label  share of pixels  share of images  class"
        rows = sorted(self.rows(), key=lambda row: -row[2])
        for label, name, pixels, pixel_share, _, image_share in rows:
            if pixels:
                yield f"  {label:5d}  {pixel_share:15.4%}  {image_share:15.2%}  {name}"
        absent = [name for label, name, pixels, *_ in rows if not pixels and label != IGNORE_INDEX]
        if absent:
            yield f"  {len(absent)} classes without a pixel: {', '.join(absent)}"


def label_statistics(
    dataset: Dataset, workers: int = DEFAULT_WORKERS, progress: Progress | None = None
) -> LabelStatistics:
    """Read every label map of a split once."""
    pixels = np.zeros(256, dtype=np.int64)
    images = np.zeros(256, dtype=np.int64)
    images_by_classes = np.zeros(IGNORE_INDEX + 1, dtype=np.int64)

    files = dataset if isinstance(dataset, HasStoredLabels) else None

    def histogram(index: int) -> NDArray[np.int64]:
        label_map = dataset[index].label_map if files is None else files.stored_label_map(index)
        return np.bincount(label_map.ravel(), minlength=256)

    for counts in run_parallel(histogram, range(len(dataset)), workers, progress):
        pixels += counts
        images += counts > 0
        images_by_classes[np.count_nonzero(counts[:IGNORE_INDEX])] += 1
    return LabelStatistics(
        dataset=set_name_of(dataset),
        split=dataset.split,
        label_space=dataset.label_space,
        num_images=len(dataset),
        pixels=pixels,
        images=images,
        images_by_classes=images_by_classes,
    )


def csv_of_labels(splits: list[LabelStatistics]) -> str:
    """Write a line per split and class."""
    lines = ["dataset,split,label,class,pixels,pixel_share,images,image_share"]
    for item in splits:
        for label, name, pixels, pixel_share, images, image_share in item.rows():
            cells = (
                _quoted(item.dataset), item.split, label, _quoted(name), pixels, pixel_share,
                images, image_share,
            )  # fmt: skip
            lines.append(",".join(map(str, cells)))
    return "".join(f"{line}\n" for line in lines)


def csv_of_classes_per_image(splits: list[LabelStatistics]) -> str:
    """Write a line per split and number of classes that occurs."""
    lines = ["dataset,split,classes,images"]
    for item in splits:
        counts = item.images_by_classes
        lines += [
            f"{_quoted(item.dataset)},{item.split},{number},{counts[number]}"
            for number in np.flatnonzero(counts)
        ]
    return "".join(f"{line}\n" for line in lines)


def _quoted(text: str) -> str:
    """Class names hold commas and quotes in some datasets."""
    doubled = text.replace('"', '""')
    return f'"{doubled}"' if any(mark in text for mark in ',"\n') else text
