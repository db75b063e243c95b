# SPDX-License-Identifier: Apache-2.0
"""`spade-eval bench data`: how fast samples come from files."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from spade_eval.cli import options


def bench_data(
    dataset: Annotated[
        str | None, typer.Option(help="A dataset of files [default: files made for the test].")
    ] = None,
    data_root: options.DataRoot = None,
    size: options.ImageSize = None,
    images: Annotated[int, typer.Option(min=1, help="Samples to load.")] = 1000,
    workers: Annotated[int, typer.Option(min=1, help="Loading threads.")] = 1,
) -> None:
    """Images per second and worker, decoding beside Pillow's own, memory from start to end."""
    if dataset is not None:
        pixels = options.parse_size(size or "256")
        _measure(dataset, options.data_root_or_default(data_root), pixels, images, workers)
        return
    from spade_eval.datasets.speed import write_test_folder

    with tempfile.TemporaryDirectory() as folder:
        write_test_folder(Path(folder))
        pixels = options.parse_size(size or "256x512")
        _measure("folder", Path(folder), pixels, images, workers)


def _measure(
    dataset: str, data_root: Path, size: tuple[int, int], images: int, workers: int
) -> None:
    from spade_eval.datasets import open_dataset
    from spade_eval.datasets.file_dataset import FileDataset
    from spade_eval.datasets.speed import label_decoding, loading, photo_decoding, resident_bytes
    from spade_eval.errors import UserError

    split = open_dataset(dataset, "train", size, data_root)
    if not isinstance(split, FileDataset):
        raise UserError(f"--dataset {dataset}: it has no files; name a dataset of files, or none")
    paths = list(split.files.values())[:32]
    for title, decoding in (
        ("photos", photo_decoding([path.photo for path in paths])),
        ("label maps", label_decoding([path.label_map for path in paths], split.label_files)),
    ):
        typer.echo(
            f"decoding {title}: {decoding.ours:.0f} files/s on one core, Pillow alone "
            f"{decoding.pillow:.0f} ({decoding.ratio:.0%})"
        )
    loading(split, min(images, 64), workers)  # first use of files and threads
    before = resident_bytes()
    speed = loading(split, images, workers)
    typer.echo(
        f"training samples at {size[0]}x{size[1]}: {speed.per_worker * workers:.0f} images/s with "
        f"{workers} worker(s), {speed.per_worker:.0f} per worker"
    )
    after = resident_bytes()
    if before is not None and after is not None:
        typer.echo(f"memory over {images} images: {(after - before) / 2**20:+.1f} MiB")
