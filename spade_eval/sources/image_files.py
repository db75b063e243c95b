# SPDX-License-Identifier: Apache-2.0
"""Images of a run as PNG files: written while they are scored, and only as many as asked for."""

import json
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import numpy as np
from PIL import Image
from torch import Tensor

from spade_eval.batches import coloured
from spade_eval.datasets.base import Dataset, Sample
from spade_eval.files import written_whole

LABEL_MAP_FOLDER = "label map"

_BATCHES_WAITING = 4  # more would hold images of a slow disk in memory


def write_images(folder: Path, samples: Sequence[Sample], images: Tensor) -> None:
    """Write one PNG per sample, named by its stem; never changed in place: pages link to them."""
    for sample, image in zip(samples, images, strict=True):
        pixels = np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy())
        with written_whole(folder / f"{sample.name}.png") as temporary:
            Image.fromarray(pixels).save(temporary, format="PNG")


class ImageWriter:
    """`write_images` on a thread of its own, for the first images of a split.

    Everything is written when the block ends; what goes wrong comes up there or at a later call.
    """

    def __init__(self, folder: Path, limit: int | None) -> None:
        self.folder, self.limit = folder, limit  # None writes all
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._waiting: deque[Future[None]] = deque()

    def __enter__(self) -> "ImageWriter":
        return self

    def write(self, indices: range, samples: Sequence[Sample], images: Tensor) -> None:
        """Write those of a batch of 8-bit images (N, 3, H, W) that are below the limit."""
        if len(self._waiting) >= _BATCHES_WAITING:
            self._waiting.popleft().result()
        count = num_written(indices, self.limit)
        if count:
            job = self._thread.submit(write_images, self.folder, samples[:count], images[:count])
            self._waiting.append(job)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.shutdown(wait=True, cancel_futures=error is not None)
        if error is None:
            for job in self._waiting:
                job.result()


def num_written(indices: range, limit: int | None) -> int:
    """Count how many images of a batch are among the first `limit` of the split."""
    return len(indices if limit is None else range(indices.start, min(indices.stop, limit)))


def lacks_images(folder: Path, names: Sequence[str]) -> bool:
    """Return whether any of these images is not there."""
    return not all((folder / f"{name}.png").is_file() for name in names)


def write_inputs(run_folder: Path, dataset: Dataset, indices: Iterable[int]) -> None:
    """Write what a gallery shows beside images: class names, these label maps in colours."""
    space = dataset.label_space
    classes = [
        {"name": name, "color": list(color)}
        for name, color in zip(space.class_names, space.palette, strict=True)
    ]
    with written_whole(run_folder / "classes.json") as temporary:
        temporary.write_text(json.dumps(classes), encoding="utf-8")
    folder = run_folder / "images" / LABEL_MAP_FOLDER
    for index in indices:
        if lacks_images(folder, [dataset.names[index]]):
            samples = [dataset[index]]
            write_images(folder, samples, coloured(samples, dataset))
