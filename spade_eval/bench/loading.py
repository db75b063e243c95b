# SPDX-License-Identifier: Apache-2.0
"""How fast samples are read, beside what Pillow alone needs for the same files."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from PIL import Image

from spade_eval.bench.timing import Clock, Row, Timing, alternating, resident_bytes, whole
from spade_eval.datasets import files
from spade_eval.datasets.base import Dataset
from spade_eval.datasets.folder_description import FILE_NAME
from spade_eval.datasets.label_files import LabelFiles
from spade_eval.datasets.parallel import run_parallel, write_png, write_text
from spade_eval.datasets.scenes import Scenes
from spade_eval.models.labels import Size

TEST_SIZE = (256, 512)
_FIRST_IMAGES = 64
_MIB = 2**20


def time_photos(paths: Sequence[Path], rounds: int) -> Row:
    """Time `read_photo` against Pillow's own decoding."""
    return _decoding("photos", files.read_photo, paths, rounds)


def time_label_maps(paths: Sequence[Path], label_files: LabelFiles, rounds: int) -> Row:
    """Label maps read, checked and renumbered, against Pillow's own decoding."""
    return _decoding("label maps", label_files.read, paths, rounds)


def time_samples(dataset: Dataset, images: int, workers: int, repeats: int) -> Row:
    """Time whole training samples: read, checked, resized, cropped and flipped.

    `memory_growth_mib` is over all counted images; None where the system does not tell.
    """
    resident: list[int | None] = []

    def run(number: int, clock: Clock) -> None:
        if number == 0:
            resident.append(resident_bytes())
        with clock():
            # A few first, for the first use of files and threads.
            load(dataset, images if number >= 0 else min(images, _FIRST_IMAGES), workers)

    (timing,) = alternating([run], repeats=repeats, warm_up=1)
    before, after = resident[0], resident_bytes()
    return {
        **_row("samples", images, timing),
        "workers": workers,
        "memory_growth_mib": None if before is None or after is None else (after - before) / _MIB,
    }


def load(dataset: Dataset, images: int, workers: int = 1) -> None:
    """Load the first so many training samples, starting over where the split is shorter."""

    def load_one(number: int) -> int:
        epoch, index = divmod(number, len(dataset))
        return dataset.training_sample(index, epoch, seed=0).photo.shape[0]

    for _ in run_parallel(load_one, range(images), workers):
        pass


def _decoding(what: str, ours: Callable[[Path], object], paths: Sequence[Path], rounds: int) -> Row:
    """Time the two readers on one core, in turn; the first reading waits for the disk."""
    runs = [whole(partial(_read_all, read, paths)) for read in (ours, _decoded_by_pillow)]
    # In a thread, so that the ratio is that of a worker.
    with ThreadPoolExecutor(max_workers=1) as pool:
        ours_timing, pillow = pool.submit(alternating, runs, repeats=rounds, warm_up=1).result()
    row, pillow_rate = _row(what, len(paths), ours_timing), len(paths) / pillow.median
    ratio = row["images_per_second"] / pillow_rate
    return {**row, "workers": 1, "pillow_per_second": pillow_rate, "ratio": ratio}


def _row(what: str, images: int, timing: Timing[None]) -> Row:
    """Seconds are of all `images`, once."""
    rate = images / timing.median
    return {"what": what, "images": images, **timing.row, "images_per_second": rate}


def _read_all(read: Callable[[Path], object], paths: Sequence[Path]) -> None:
    for path in paths:
        read(path)


def _decoded_by_pillow(path: Path) -> None:
    with Image.open(path, formats=files.PHOTO_FORMATS) as image:
        image.load()


def write_test_folder(root: Path, samples: int = 32, size: Size = TEST_SIZE) -> None:
    """Write photos and label maps, drawn scenes as PNG, described as a `folder`."""
    scenes = Scenes("train", size, length=samples)
    for index in range(samples):
        sample = scenes[index]
        write_png(root / "images" / "train" / f"{sample.name}.png", sample.photo)
        write_png(root / "labels" / "train" / f"{sample.name}.png", sample.label_map)
    names = ", ".join(f'"{name}"' for name in scenes.label_space.class_names)
    write_text(
        root / FILE_NAME,
        f'images = "images/{{split}}"\nlabels = "labels/{{split}}"\nclasses = [{names}]\n',
    )
