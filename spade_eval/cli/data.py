# SPDX-License-Identifier: Apache-2.0
"""`spade-eval data`: look at a dataset's folder, and make the files that it lacks."""

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spade_eval.cli import options
from spade_eval.cli.console.app import App
from spade_eval.cli.console.conditions import WITH_SCENES, WITH_WEIGHTS
from spade_eval.cli.console.output import current, note, say, show, wrote
from spade_eval.cli.console.paths import checked
from spade_eval.cli.console.topics import DATA, SCORING
from spade_eval.errors import UserError, lookup

if TYPE_CHECKING:
    from spade_eval.datasets.base import Dataset
    from spade_eval.datasets.parallel import Progress
    from spade_eval.datasets.tools.check import CheckReport
    from spade_eval.datasets.tools.coco_instances import Written
    from spade_eval.datasets.tools.statistics import LabelStatistics

data_app = App(help="Look at a dataset before anything is trained, and prepare it.")

Workers = Annotated[int | None, typer.Option(min=1, help="Threads [default: cores, at most 8].")]
Split = Annotated[
    str | None,
    typer.Option(
        metavar="train|val", help="One split [default: those there].", rich_help_panel=DATA
    ),
]
SizeOfScenes = Annotated[
    str | None,
    typer.Option(
        metavar="N|HxW", help="Pixels of what is drawn [default: 64].", rich_help_panel=DATA
    ),
    WITH_SCENES,
]


@data_app.command()
def check(
    dataset: options.Dataset = "cocostuff",
    data_root: options.DataRoot = None,
    size: SizeOfScenes = None,
    workers: Workers = None,
) -> None:
    """Read every file: counts, sizes, label histogram, problems. Exit code 1 if there are any.

    A folder of your own without dataset.toml gets one proposed.
    """
    from spade_eval.datasets.folder_description import NoDescriptionError

    root = options.data_root_or_default(data_root)
    try:
        with _bar(f"checking {dataset}") as progress:
            report = _check(dataset, root, size, _workers(workers), progress)
    except NoDescriptionError:
        _propose(root, _workers(workers))
        raise typer.Exit(1) from None
    _show_checked(report)
    if report.problems:
        raise typer.Exit(1)


@data_app.command()
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
    for opened in _opened(dataset, root, split, options.parse_size(size or "64")):
        with _bar(f"counting {dataset} {opened.split}") as progress:
            counted.append(label_statistics(opened, _workers(workers), progress))
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


def _rows(counted: "Sequence[LabelStatistics]") -> list[dict[str, Any]]:
    names = ("label", "class", "pixels", "share_of_pixels", "images", "share_of_images")
    return [
        {"split": statistics.split, **dict(zip(names, row, strict=True))}
        for statistics in counted
        for row in statistics.rows()
    ]


@data_app.command()
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


@data_app.command()
def prepare(
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="cocostuff|ade20k_outdoor",
            help="What is prepared; with --positions any dataset of files.",
        ),
    ],
    data_root: options.DataRootOfAny = None,
    split: Split = None,
    positions: Annotated[
        bool, typer.Option("--positions", help="Make the positional maps of CLADE-ICPE instead.")
    ] = False,
    workers: Workers = None,
) -> None:
    """Make what a dataset lacks: instance maps of COCO-Stuff, the list of ADE20K-outdoor.

    Nothing that was there is changed, and a command that was stopped goes on where it was.
    """
    root = options.data_root_or_default(data_root)
    if positions:
        _prepare_positions(dataset, root, split, _workers(workers))
        return
    work = lookup({"cocostuff": _instance_maps, "ade20k_outdoor": _outdoor_list}, dataset,
                  "preparation")  # fmt: skip
    for name in [split] if split else _splits_below(dataset, root):
        with _bar(f"preparing {dataset} {name}") as progress:
            line = work(root, name, _workers(workers), progress)
        show(f"{name}: {line}")


@data_app.command()
def convert(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE", help="Folder of colour label maps.", callback=checked("folder")
        ),
    ],
    target: Annotated[
        Path,
        typer.Argument(
            metavar="TARGET",
            help="Folder for the files of ids; new or continued.",
            callback=checked("folder", written=True),
        ),
    ],
    palette: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE|index",
            help="cocostuff, ade20k, cityscapes, a text file with a line `id red green blue` per "
            "class, or `index` for palette files whose indices are ids (if all colours are "
            "greys, each must equal its index).",
        ),
    ],
    workers: Workers = None,
) -> None:
    """Turn colour label maps into label maps of ids. The originals are never touched."""
    from spade_eval.datasets.tools.colour_maps import INDEX, convert_folder, read_palette

    colours = None if palette == INDEX else read_palette(palette)
    with _bar("converting") as progress:
        written = convert_folder(source, target, colours, _workers(workers), progress)
    wrote([written.folder])
    show(_line(written))
    shared = colours.shared if colours else ()
    note(shared)
    for line in shared:
        show(f"note: {line}", **current().fields)


@data_app.command(name="export")
def export_samples(
    target: Annotated[
        Path,
        typer.Argument(
            metavar="TARGET",
            help="Folder to write into; new or continued.",
            callback=checked("folder", written=True),
        ),
    ],
    dataset: options.Dataset = "scenes",
    data_root: options.DataRoot = None,
    split: Split = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first of a split.")] = None,
    size: options.ImageSize = None,
    workers: Workers = None,
) -> None:
    """Write any dataset as folders of PNG files with a dataset.toml, for other programs.

    It is read as --dataset folder. Without --size, files keep theirs; scenes are drawn at 64.
    """
    from spade_eval.datasets.file_dataset import FileDataset
    from spade_eval.datasets.tools.export import export

    pixels = options.parse_size(size or "64")
    splits = [*_opened(dataset, options.data_root_or_default(data_root), split, pixels)]
    stored = size is None and isinstance(splits[0], FileDataset)
    with _bar(f"exporting {dataset}") as progress:
        for written in export(
            splits, target, limit, as_stored=stored, workers=_workers(workers), progress=progress
        ):
            say(_line(written))
    wrote([target])
    say(f"score what is made of them with --dataset folder --data-root {target}")


@contextmanager
def _bar(title: str) -> "Iterator[Progress]":
    """Progress that begins with the first file and starts over with the next split."""
    from spade_eval.progress import Progress

    with contextlib.ExitStack() as stack:
        bars: list[Progress] = []

        def count(done: int, total: int) -> None:
            if done == 1:
                bars.append(stack.enter_context(Progress(title, total, "file")))
            bars[-1].advance()

        yield count


def _workers(given: int | None) -> int:
    from spade_eval.datasets.parallel import DEFAULT_WORKERS

    return given or DEFAULT_WORKERS


@data_app.command()
def label(
    photos: Annotated[
        Path, typer.Argument(metavar="PHOTOS", help="Folder of photos.", callback=checked("folder"))
    ],
    target: Annotated[
        Path,
        typer.Argument(
            metavar="TARGET",
            help="Folder for the label maps, one PNG a photo.",
            callback=checked("folder", written=True),
        ),
    ],
    segmenter: Annotated[
        str,
        typer.Option(metavar="NAME", help="A segmenter of COCO-Stuff.", rich_help_panel=SCORING),
    ] = "deeplab-v2",
    filled_weights: options.FilledWeights = False,
    device: options.Device = "auto",
    weights_dir: Annotated[options.WeightsDir, WITH_WEIGHTS] = None,
) -> None:
    """Label any folder of photos with COCO-Stuff's classes: the recipe of Flickr Landscapes."""
    from spade_eval.datasets.tools.label_photos import label_photos
    from spade_eval.devices import resolve_device
    from spade_eval.scoring.segmenter import photo_labeller

    folder = options.weights_dir_or_default(weights_dir)
    segment, origin = photo_labeller(segmenter, folder, resolve_device(device), filled_weights)
    with _bar("labelling") as progress:
        done = label_photos(photos, target, segment, origin, progress)
    wrote([done.folder])
    show(f"{done.folder}: {done.written} label maps written, {done.kept} were there")
    show(f"labels by {origin}")


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


def _opened(
    dataset: str, root: Path, split: str | None, size: tuple[int, int]
) -> "Iterator[Dataset]":
    """The split that is named, or those that are there; the first one's error if none is."""
    from spade_eval.datasets import open_dataset
    from spade_eval.datasets.file_dataset import SPLITS, AbsentSplitError

    if split is not None:
        yield open_dataset(dataset, split, size, root)
        return
    absent = []
    for name in SPLITS:
        try:
            opened = open_dataset(dataset, name, size, root)
        except AbsentSplitError as error:
            absent.append(error)
            continue
        yield opened
    if len(absent) == len(SPLITS):
        raise absent[0]


def _propose(root: Path, workers: int) -> None:
    from spade_eval.datasets.tools.proposal import propose

    with _bar("reading label maps") as progress:
        proposal = propose(root, workers, progress)
    show("\n".join(proposal.lines()))


def _instance_maps(root: Path, split: str, workers: int, progress: "Progress") -> str:
    from spade_eval.datasets.tools.coco_instances import write_instance_maps

    return _line(write_instance_maps(root, split, workers, progress))


def _prepare_positions(dataset: str, root: Path, split: str | None, workers: int) -> None:
    from spade_eval.datasets.file_dataset import FileDataset
    from spade_eval.datasets.tools.positional_maps import write_positional_maps

    for opened in _opened(dataset, root, split, (256, 256)):
        if not isinstance(opened, FileDataset):
            raise UserError(f"{dataset} has no label files; its positional maps are computed")
        with _bar(f"preparing {dataset} {opened.split}") as progress:
            line = _line(write_positional_maps(opened, workers, progress))
        show(f"{opened.split}: {line}")


def _outdoor_list(root: Path, split: str, workers: int, progress: "Progress") -> str:
    from spade_eval.datasets.ade20k_outdoor import list_file, list_sha256, write_list

    stems = write_list(root, split, workers, progress)
    return f"{list_file(root, split)}: {len(stems)} images, list {list_sha256(stems)[:8]}"


def _splits_below(dataset: str, root: Path) -> list[str]:
    """The splits whose label maps are there, or both, so that the first can say what it lacks."""
    from spade_eval.datasets.ade20k import Ade20k
    from spade_eval.datasets.coco_stuff import place_of
    from spade_eval.datasets.file_dataset import SPLITS, AbsentSplitError

    present = []
    for split in SPLITS:
        if dataset == "cocostuff":
            if place_of(root, split).labels is not None:
                present.append(split)
            continue
        try:
            Ade20k.find(root, split)
        except AbsentSplitError:
            continue
        present.append(split)
    return present or list(SPLITS)


def _line(written: "Written") -> str:
    return f"{written.folder}: {written.written} files written, {written.kept} were there"
