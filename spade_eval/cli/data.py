# SPDX-License-Identifier: Apache-2.0
"""`spade-eval data`: what lies in a dataset's folder."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from spade_eval.cli import options

if TYPE_CHECKING:
    from spade_eval.datasets.check import CheckReport, Progress

data_app = typer.Typer(help="Look at a dataset before anything is trained.")


@data_app.callback()
def data() -> None:
    """Keeps `data` a group of commands while it has only one."""


@data_app.command()
def check(
    dataset: options.Dataset = "cocostuff",
    data_root: options.DataRoot = None,
    size: options.ImageSize = None,
) -> None:
    """Read every file: counts, sizes, label histogram, problems. Exit code 1 if there are any."""
    from tqdm import tqdm

    with tqdm(desc=f"checking {dataset}", unit="sample") as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        found = _check(dataset, options.data_root_or_default(data_root), size, progress)
    typer.echo("\n".join(found.lines()))
    if found.problems:
        raise typer.Exit(1)


def _check(dataset: str, data_root: Path, size: str | None, progress: "Progress") -> "CheckReport":
    """Files are read as stored where a dataset has files, samples as they come where not."""
    from spade_eval.datasets import open_dataset
    from spade_eval.datasets.check import check_coco_stuff, check_samples

    if dataset == "cocostuff":
        return check_coco_stuff(data_root, progress=progress)
    pixels = options.parse_size(size or "64")
    splits = [open_dataset(dataset, split, pixels, data_root) for split in ("train", "val")]
    return check_samples(splits, progress=progress)
