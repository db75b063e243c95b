# SPDX-License-Identifier: Apache-2.0
"""`spade-eval bench data`: how fast samples come from files."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spade_eval.cli import options
from spade_eval.cli.bench.flags import Save
from spade_eval.cli.bench.lines import Column, optional, print_lines, print_table
from spade_eval.cli.console.topics import DATA

if TYPE_CHECKING:
    from spade_eval.bench.timing import Row
    from spade_eval.datasets.file_dataset import FileDataset

_DECODING_ROUNDS = 9  # of a few files each, so many are cheap
_COLUMNS = (
    Column("what", 24, lambda row: _what(row), "<"),
    Column("workers", 7, lambda row: f"{row['workers']}"),
    Column("images", 6, lambda row: f"{row['images']}"),
    Column("images/s", 8, lambda row: f"{row['images_per_second']:.0f}"),
    Column("from - to", 15, lambda row: f"{_rate(row, 'slowest')} - {_rate(row, 'fastest')}"),
    Column("a worker", 8, lambda row: f"{row['images_per_second'] / row['workers']:.0f}"),
    Column("Pillow alone", 12, lambda row: optional(row.get("pillow_per_second"), ".0f")),
    Column("ratio", 5, lambda row: optional(row.get("ratio"), ".0%")),
    Column("growth MiB", 10, lambda row: optional(row.get("memory_growth_mib"), "+.1f")),
)


def _what(row: "Row") -> str:
    """Files are decoded at their own size."""
    size = f" at {row['height']} x {row['width']}" if row["what"] == "samples" else ""
    return row["what"] + size


def _rate(row: "Row", seconds: str) -> str:
    return f"{row['images'] / row[seconds]:.0f}"


def bench_data(
    dataset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A dataset of files [default: files made for the test].",
            rich_help_panel=DATA,
        ),
    ] = None,
    data_root: options.DataRoot = None,
    size: options.ImageSize = None,
    images: Annotated[int, typer.Option(min=1, help="Samples to load, each time.")] = 1000,
    workers: Annotated[int, typer.Option(min=1, help="Loading threads.")] = 1,
    repeats: Annotated[int, typer.Option(min=1, help="Times of loading; the median counts.")] = 3,
    save: Save = None,
) -> None:
    """Images per second, decoding beside Pillow's own, memory: a table, then a line of JSON a row.

    Photos and label maps are decoded on one core; samples are read, checked, resized, cropped and
    flipped, and what the process grew by meanwhile is told where the system tells.
    """
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
        measured = _measured(split, images, workers, repeats)
        rows = print_table(_COLUMNS, (shared | row for row in measured))
    print_lines("data", rows, save)


def _split(dataset: str, data_root: Path, size: tuple[int, int]) -> "FileDataset":
    from spade_eval.datasets import open_dataset
    from spade_eval.datasets.file_dataset import FileDataset
    from spade_eval.errors import UserError

    split = open_dataset(dataset, "train", size, data_root)
    if not isinstance(split, FileDataset):
        raise UserError(f"--dataset {dataset}: it has no files; name a dataset of files, or none")
    return split


def _measured(split: "FileDataset", images: int, workers: int, repeats: int) -> "Iterator[Row]":
    """Photos and label maps of a few files, beside Pillow alone; then whole samples."""
    from spade_eval.bench.loading import time_label_maps, time_photos, time_samples

    paths = list(split.files.values())[:32]
    yield time_photos([path.photo for path in paths], _DECODING_ROUNDS)
    label_maps = [path.label_map for path in paths]
    yield time_label_maps(label_maps, split.label_files, _DECODING_ROUNDS)
    yield time_samples(split, images, workers, repeats)
