# SPDX-License-Identifier: Apache-2.0
"""`spade-eval data prepare, convert, export and label`: make files that a dataset lacks."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spade_eval.cli import options
from spade_eval.cli.console.conditions import WITH_WEIGHTS
from spade_eval.cli.console.output import current, note, say, show, wrote
from spade_eval.cli.console.paths import checked
from spade_eval.cli.console.topics import SCORING
from spade_eval.cli.data.splits import Split, Workers, bar, opened_splits, workers_of
from spade_eval.errors import UserError, lookup

if TYPE_CHECKING:
    from spade_eval.datasets.parallel import Progress
    from spade_eval.datasets.tools.coco_instances import Written


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
        _prepare_positions(dataset, root, split, workers_of(workers))
        return
    work = lookup({"cocostuff": _instance_maps, "ade20k_outdoor": _outdoor_list}, dataset,
                  "preparation")  # fmt: skip
    for name in [split] if split else _splits_below(dataset, root):
        with bar(f"preparing {dataset} {name}") as progress:
            line = work(root, name, workers_of(workers), progress)
        show(f"{name}: {line}")


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
    with bar("converting") as progress:
        written = convert_folder(source, target, colours, workers_of(workers), progress)
    wrote([written.folder])
    show(_line(written))
    shared = colours.shared if colours else ()
    lost = [f"of the label maps, {written.lost}"] if written.lost else []
    note([*shared, *lost])
    for line in shared:
        show(f"note: {line}", **current().fields)
    for line in lost:
        show(f"warning: {line}", **current().fields)


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
    splits = [*opened_splits(dataset, options.data_root_or_default(data_root), split, pixels)]
    stored = size is None and isinstance(splits[0], FileDataset)
    with bar(f"exporting {dataset}") as progress:
        for written in export(
            splits, target, limit, as_stored=stored, workers=workers_of(workers), progress=progress
        ):
            say(_line(written))
    wrote([target])
    say(f"score what is made of them with --dataset folder --data-root {target}")


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
    with bar("labelling") as progress:
        done = label_photos(photos, target, segment, origin, progress)
    wrote([done.folder])
    show(f"{done.folder}: {done.written} label maps written, {done.kept} were there")
    show(f"labels by {origin}")


def _instance_maps(root: Path, split: str, workers: int, progress: "Progress") -> str:
    from spade_eval.datasets.tools.coco_instances import write_instance_maps

    return _line(write_instance_maps(root, split, workers, progress))


def _prepare_positions(dataset: str, root: Path, split: str | None, workers: int) -> None:
    from spade_eval.datasets.file_dataset import FileDataset
    from spade_eval.datasets.tools.positional_maps import write_positional_maps

    for opened in opened_splits(dataset, root, split, (256, 256)):
        if not isinstance(opened, FileDataset):
            raise UserError(f"{dataset} has no label files; its positional maps are computed")
        with bar(f"preparing {dataset} {opened.split}") as progress:
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
