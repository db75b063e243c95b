# SPDX-License-Identifier: Apache-2.0
"""How fast samples are read, beside what Pillow alone needs for the same files."""

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from spade_eval.datasets import files
from spade_eval.datasets.base import Dataset
from spade_eval.datasets.folder_description import FILE_NAME
from spade_eval.datasets.label_files import LabelFiles
from spade_eval.datasets.parallel import Progress, run_parallel, write_png, write_text
from spade_eval.datasets.scenes import Scenes

TEST_SIZE = (256, 512)


@dataclass(frozen=True, kw_only=True)
class DecodingSpeed:
    """Files per second on one core; medians of rounds that alternate the two readers."""

    ours: float
    pillow: float

    @property
    def ratio(self) -> float:
        return self.ours / self.pillow


@dataclass(frozen=True, kw_only=True)
class LoadingSpeed:
    """Whole samples: read, checked, resized, cropped and flipped."""

    images: int
    seconds: float
    workers: int

    @property
    def per_worker(self) -> float:
        """Images per second and worker."""
        return self.images / self.seconds / self.workers


def photo_decoding(paths: Sequence[Path], rounds: int = 9) -> DecodingSpeed:
    """`read_photo` against Pillow's own decoding."""
    return _compared(lambda path: files.read_photo(path), paths, rounds)


def label_decoding(
    paths: Sequence[Path], label_files: LabelFiles, rounds: int = 9
) -> DecodingSpeed:
    """Label maps read, checked and renumbered, against Pillow's own decoding."""
    return _compared(label_files.read, paths, rounds)


def loading(
    dataset: Dataset, images: int, workers: int = 1, progress: Progress | None = None
) -> LoadingSpeed:
    """Training samples, the first so many, starting over where the split is shorter."""

    def load(number: int) -> int:
        epoch, index = divmod(number, len(dataset))
        return dataset.training_sample(index, epoch, seed=0).photo.shape[0]

    start = time.perf_counter()
    for _ in run_parallel(load, range(images), workers, progress):
        pass
    return LoadingSpeed(images=images, seconds=time.perf_counter() - start, workers=workers)


def resident_bytes() -> int | None:
    """Memory of this process now, where the system tells (Linux)."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return None
    import resource

    return pages * resource.getpagesize()


def _compared(ours: Callable[[Path], object], paths: Sequence[Path], rounds: int) -> DecodingSpeed:
    # In a thread, so that the ratio is that of a worker.
    with ThreadPoolExecutor(max_workers=1) as pool:
        times: dict[str, list[float]] = {"ours": [], "pillow": []}
        for _ in range(rounds):
            for name, read in (("ours", ours), ("pillow", _decoded_by_pillow)):
                times[name].append(pool.submit(_seconds, read, paths).result())
    ours_time, pillow_time = (statistics.median(times[name]) for name in ("ours", "pillow"))
    return DecodingSpeed(ours=len(paths) / ours_time, pillow=len(paths) / pillow_time)


def _seconds(read: Callable[[Path], object], paths: Sequence[Path]) -> float:
    start = time.perf_counter()
    for path in paths:
        read(path)
    return time.perf_counter() - start


def _decoded_by_pillow(path: Path) -> None:
    with Image.open(path) as image:
        image.load()


def write_test_folder(root: Path, samples: int = 32) -> None:
    """Photos and label maps of 256 x 512, drawn scenes as PNG, described as a `folder`."""
    scenes = Scenes("train", TEST_SIZE, length=samples)
    for index in range(samples):
        sample = scenes[index]
        write_png(root / "images" / "train" / f"{sample.name}.png", sample.photo)
        write_png(root / "labels" / "train" / f"{sample.name}.png", sample.label_map)
    names = ", ".join(f'"{name}"' for name in scenes.label_space.class_names)
    write_text(
        root / FILE_NAME,
        f'images = "images/{{split}}"\nlabels = "labels/{{split}}"\nclasses = [{names}]\n',
    )
