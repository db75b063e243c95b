# SPDX-License-Identifier: Apache-2.0
"""`spade-eval bench data`: how fast samples come from files."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spade_eval.cli import options
from spade_eval.cli.bench.flags import Save
from spade_eval.cli.bench.lines import print_lines

if TYPE_CHECKING:
    from spade_eval.bench.timing import Row
    from spade_eval.datasets.file_dataset import FileDataset

_DECODING_ROUNDS = 9  # of a few files each, so many are cheap


def bench_data(
    dataset: Annotated[
        str | None, typer.Option(help="A dataset of files [default: files made for the test].")
    ] = None,
    data_root: options.DataRoot = None,
    size: options.ImageSize = None,
    images: Annotated[int, typer.Option(min=1, help="Samples to load, each time.")] = 1000,
    workers: Annotated[int, typer.Option(min=1, help="Loading threads.")] = 1,
    repeats: Annotated[int, typer.Option(min=1, help="Times of loading; the median counts.")] = 3,
    save: Save = None,
) -> None:
    """Images per second, decoding beside Pillow's own, memory: then three lines of JSON."""
    with tempfile.TemporaryDirectory() as folder:
        if dataset is None:
            from spade_eval.bench.loading import write_test_folder

            write_test_folder(Path(folder))
            split = _split("folder", Path(folder), options.parse_size(size or "256x512"))
        else:
            root = options.data_root_or_default(data_root)
            split = _split(dataset, root, options.parse_size(size or "256"))
        height, width = split.size
        shared = {"dataset": dataset or "made for the test", "height": height, "width": width}
        rows = []
        for row, text in _measured(split, images, workers, repeats):
            typer.echo(text)
            rows.append(shared | row)
    print_lines("data", rows, save)


def _split(dataset: str, data_root: Path, size: tuple[int, int]) -> "FileDataset":
    from spade_eval.datasets import open_dataset
    from spade_eval.datasets.file_dataset import FileDataset
    from spade_eval.errors import UserError

    split = open_dataset(dataset, "train", size, data_root)
    if not isinstance(split, FileDataset):
        raise UserError(f"--dataset {dataset}: it has no files; name a dataset of files, or none")
    return split


def _measured(
    split: "FileDataset", images: int, workers: int, repeats: int
) -> "Iterator[tuple[Row, str]]":
    """Each row, and what it says to a reader."""
    from spade_eval.bench.loading import time_label_maps, time_photos, time_samples

    paths = list(split.files.values())[:32]
    photos, label_maps = [path.photo for path in paths], [path.label_map for path in paths]
    for row in (
        time_photos(photos, _DECODING_ROUNDS),
        time_label_maps(label_maps, split.label_files, _DECODING_ROUNDS),
    ):
        yield (
            row,
            f"decoding {row['what']}: {row['images_per_second']:.0f} files/s on one core, "
            f"Pillow alone {row['pillow_per_second']:.0f} ({row['ratio']:.0%})",
        )
    row = time_samples(split, images, workers, repeats)
    rate, growth = row["images_per_second"], row["memory_growth_mib"]
    text = (
        f"training samples at {split.size[0]}x{split.size[1]}: {rate:.0f} images/s "
        f"({images / row['slowest']:.0f} to {images / row['fastest']:.0f}) with {workers} "
        f"worker(s), {rate / workers:.0f} per worker"
    )
    if growth is not None:
        text += f"\nmemory over {repeats * images} images: {growth:+.1f} MiB"
    yield row, text
