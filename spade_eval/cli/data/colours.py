# SPDX-License-Identifier: Apache-2.0
"""`spade-eval data colours`: condition images of label maps, and label maps of these again."""

from pathlib import Path
from typing import Annotated

import typer

from spade_eval.cli import options
from spade_eval.cli.console.conditions import WITHOUT_BACK
from spade_eval.cli.console.output import note, say, show, wrote
from spade_eval.cli.console.paths import checked
from spade_eval.cli.data.splits import Split, Workers, bar, opened_splits, workers_of


def colours(
    target: Annotated[
        Path,
        typer.Argument(
            metavar="TARGET",
            help="Folder to write into; new or continued.",
            callback=checked("folder", written=True),
        ),
    ],
    palette: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="ade20k, controlnet, cityscapes, or own: the dataset's colours in this suite.",
        ),
    ] = "own",
    dataset: options.Dataset = "scenes",
    data_root: options.DataRoot = None,
    split: Split = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first of a split."), WITHOUT_BACK
    ] = None,
    size: Annotated[options.ImageSize, WITHOUT_BACK] = None,
    back: Annotated[
        Path | None,
        typer.Option(
            metavar="SOURCE",
            help="Read the coloured maps of this folder back into label maps instead.",
            callback=checked("folder"),
        ),
    ] = None,
    workers: Workers = None,
) -> None:
    """Paint label maps in the colours that a pretrained system knows, as PNG in TARGET/SPLIT.

    With --back coloured maps become label maps of values 0, 1, 2, ... and 255 in TARGET, which is
    refused where two classes share a colour. Without --size, files keep theirs; scenes have 64.
    """
    from spade_eval.datasets.condition_palettes import condition_palette
    from spade_eval.datasets.file_dataset import FileDataset
    from spade_eval.datasets.tools.condition_images import paint_split, read_back

    root, pixels = options.data_root_or_default(data_root), options.parse_size(size or "64")
    splits = [*opened_splits(dataset, root, split, pixels)]
    chosen = condition_palette(palette, splits[0])
    if back is not None:
        with bar("reading back") as progress:
            written = [read_back(back, target, chosen, workers_of(workers), progress)]
    else:
        stored = size is None and isinstance(splits[0], FileDataset)
        written = []
        for opened in splits:
            with bar(f"painting {dataset} {opened.split}") as progress:
                written.append(
                    paint_split(
                        opened, target / opened.split, chosen, limit,
                        as_stored=stored, workers=workers_of(workers), progress=progress,
                    )
                )  # fmt: skip
    for done in written:
        show(f"{done.folder}: {done.written} files written, {done.kept} were there")
        if done.lost:
            note([f"of the label maps, {done.lost}"])
            show(f"warning: of the label maps, {done.lost}")
    wrote([done.folder for done in written])
    say(f"palette {chosen.name}: {chosen.source}")
