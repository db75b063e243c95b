# SPDX-License-Identifier: Apache-2.0
"""`spade-eval data check, stats and classes`: look at a dataset before anything is trained."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spade_eval.cli import options
from spade_eval.cli.console.output import current, note, say, show, wrote
from spade_eval.cli.console.paths import checked
from spade_eval.cli.console.topics import DATA
from spade_eval.cli.data.splits import SizeOfScenes, Split, Workers, bar, opened_splits, workers_of
from spade_eval.errors import lookup

if TYPE_CHECKING:
    from spade_eval.datasets.parallel import Progress
    from spade_eval.datasets.tools.check import CheckReport
    from spade_eval.datasets.tools.statistics import LabelStatistics


def check(
    dataset: options.Dataset = "cocostuff",
    data_root: options.DataRoot = None,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="N|HxW",
            help="Pixels of what is drawn [default: 64]; of files, those of a run, for its notes.",
            rich_help_panel=DATA,
        ),
    ] = None,
    workers: Workers = None,
) -> None:
    """Read every file: counts, sizes, label histogram, problems. Exit code 1 if there are any.

    A folder of your own without dataset.toml gets one proposed.
    """
    from spade_eval.datasets.folder_description import NoDescriptionError

    root = options.data_root_or_default(data_root)
    try:
        with bar(f"checking {dataset}") as progress:
            report = _check(dataset, root, size, workers_of(workers), progress)
    except NoDescriptionError:
        _propose(root, workers_of(workers))
        raise typer.Exit(1) from None
    _show_checked(report)
    if report.problems:
        raise typer.Exit(1)


def stats(
    dataset: options.Dataset = "cocostuff",
    data_root: options.DataRoot = None,
    size: SizeOfScenes = None,
    split: Split = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for the same as CSV files.",
            callback=checked("folder", written=True),
        ),
    ] = None,
    workers: Workers = None,
) -> None:
    """Label statistics: shares of pixels and images per class, unlabelled share, classes per image.

    They need no model. Label files are counted as stored; --size is for scenes, which have none.
    """
    from spade_eval.datasets.parallel import write_text
    from spade_eval.datasets.tools.statistics import (
        csv_of_classes_per_image,
        csv_of_labels,
        label_statistics,
    )

    root = options.data_root_or_default(data_root)
    counted = []
    for opened in opened_splits(dataset, root, split, options.parse_size(size or "64")):
        with bar(f"counting {dataset} {opened.split}") as progress:
            counted.append(label_statistics(opened, workers_of(workers), progress))
    if out is not None:
        texts = {
            "labels": csv_of_labels(counted),
            "classes_per_image": csv_of_classes_per_image(counted),
        }
        for name, text in texts.items():
            write_text(out / f"{name}.csv", text)
            wrote([out / f"{name}.csv"])
    for statistics in counted:
        show("\n".join(statistics.lines()), rows=_rows(counted))
    for path in current().written:
        say(f"wrote {path}")


def classes(
    dataset: Annotated[
        str,
        typer.Argument(metavar="cocostuff|ade20k|cityscapes", help="Whose classes."),
    ],
) -> None:
    """Print a dataset's class names under every numbering in use."""
    from spade_eval.datasets.class_tables import CLASS_TABLES

    table = lookup(CLASS_TABLES, dataset, "class table")
    show("\n".join(table.lines()))


def _rows(counted: "Sequence[LabelStatistics]") -> list[dict[str, Any]]:
    names = ("label", "class", "pixels", "share_of_pixels", "images", "share_of_images")
    return [
        {"split": statistics.split, **dict(zip(names, row, strict=True))}
        for statistics in counted
        for row in statistics.rows()
    ]


def _show_checked(report: "CheckReport") -> None:
    note([*report.notes, *(line for split in report.splits for line in split.notes)])
    splits = [
        {
            "split": split.split,
            "num_samples": split.num_samples,
            "num_instance_maps": split.num_instance_maps,
            "pixels_by_label": split.pixels_by_label,
        }
        for split in report.splits
    ]
    show("\n".join(report.lines()), splits=splits, problems=report.problems)


def _check(
    dataset: str, data_root: Path, size: str | None, workers: int, progress: "Progress"
) -> "CheckReport":
    """Files are read as stored where a dataset has files, samples as they come where not."""
    from spade_eval.config import budget_for
    from spade_eval.datasets import DATASETS, open_dataset
    from spade_eval.datasets.file_dataset import FileDataset
    from spade_eval.datasets.tools.check import check_files, check_samples

    kind = lookup(DATASETS, dataset, "dataset")
    if isinstance(kind, type) and issubclass(kind, FileDataset):
        shape = options.parse_size(size) if size else budget_for(dataset, "default").size
        return check_files(kind, data_root, workers, progress, shape)
    pixels = options.parse_size(size or "64")
    splits = [open_dataset(dataset, split, pixels, data_root) for split in ("train", "val")]
    return check_samples(splits, workers, progress)


def _propose(root: Path, workers: int) -> None:
    from spade_eval.datasets.tools.proposal import propose

    with bar("reading label maps") as progress:
        proposal = propose(root, workers, progress)
    show("\n".join(proposal.lines()))
