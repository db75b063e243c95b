# SPDX-License-Identifier: Apache-2.0
"""`spade-eval bench data`: how fast samples come from files."""

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spade_eval.cli import options
from spade_eval.cli.bench.lines import Save, print_lines

if TYPE_CHECKING:
    from spade_eval.bench.loading import DecodingSpeed
    from spade_eval.datasets.file_dataset import FileDataset

_MIB = 2**20
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
        rows = [*_decoding(split), _loading(split, images, workers, repeats)]
    height, width = split.size
    shared = {"dataset": dataset or "made for the test", "height": height, "width": width}
    print_lines("data", [{**shared, **row} for row in rows], save)


def _split(dataset: str, data_root: Path, size: tuple[int, int]) -> "FileDataset":
    from spade_eval.datasets import open_dataset
    from spade_eval.datasets.file_dataset import FileDataset
    from spade_eval.errors import UserError

    split = open_dataset(dataset, "train", size, data_root)
    if not isinstance(split, FileDataset):
        raise UserError(f"--dataset {dataset}: it has no files; name a dataset of files, or none")
    return split


def _decoding(split: "FileDataset") -> list[dict[str, Any]]:
    """Print what decoding takes, and return a row for photos and one for label maps."""
    from spade_eval.bench.loading import label_decoding, photo_decoding

    paths = list(split.files.values())[:32]
    photos, label_maps = [path.photo for path in paths], [path.label_map for path in paths]
    rows = [
        _decoding_row("photos", len(paths), lambda: photo_decoding(photos, rounds=1)),
        _decoding_row(
            "label maps",
            len(paths),
            lambda: label_decoding(label_maps, split.label_files, rounds=1),
        ),
    ]
    for row in rows:
        typer.echo(
            f"decoding {row['what']}: {row['images_per_second']:.0f} files/s on one core, "
            f"Pillow alone {row['pillow_per_second']:.0f} ({row['ratio']:.0%})"
        )
    return rows


def _decoding_row(
    what: str, images: int, one_round: Callable[[], "DecodingSpeed"]
) -> dict[str, Any]:
    one_round()  # the first reading waits for the disk
    rounds = [one_round() for _ in range(_DECODING_ROUNDS)]
    row = _row(what, images, [images / found.ours for found in rounds])
    pillow = statistics.median(found.pillow for found in rounds)
    return {
        **row,
        "workers": 1,
        "pillow_per_second": pillow,
        "ratio": row["images_per_second"] / pillow,
    }


def _loading(split: "FileDataset", images: int, workers: int, repeats: int) -> dict[str, Any]:
    """Print what whole samples take, and return their row."""
    from spade_eval.bench.loading import loading, resident_bytes

    loading(split, min(images, 64), workers)  # first use of files and threads
    before = resident_bytes()
    taken = [loading(split, images, workers).seconds for _ in range(repeats)]
    after = resident_bytes()
    row = _row("samples", images, taken)
    rate = row["images_per_second"]
    typer.echo(
        f"training samples at {split.size[0]}x{split.size[1]}: {rate:.0f} images/s "
        f"({images / max(taken):.0f} to {images / min(taken):.0f}) with {workers} worker(s), "
        f"{rate / workers:.0f} per worker"
    )
    growth = None if before is None or after is None else (after - before) / _MIB
    if growth is not None:
        typer.echo(f"memory over {repeats * images} images: {growth:+.1f} MiB")
    return {**row, "workers": workers, "memory_growth_mib": growth}


def _row(what: str, images: int, taken: list[float]) -> dict[str, Any]:
    """Seconds are of all `images`, once."""
    seconds = statistics.median(taken)
    return {
        "what": what,
        "images": images,
        "repeats": len(taken),
        "seconds": seconds,
        "fastest": min(taken),
        "slowest": max(taken),
        "images_per_second": images / seconds,
    }
