# SPDX-License-Identifier: Apache-2.0
"""`spade-eval data photos`: what the distances of this machine see of photos of your own."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spade_eval.cli import options
from spade_eval.cli.console.output import current, say, wrote
from spade_eval.cli.console.paths import checked
from spade_eval.cli.console.topics import DATA
from spade_eval.errors import UserError

if TYPE_CHECKING:
    from spade_eval.datasets.tools.corruptions import Pixels
    from spade_eval.reports.statistics.photo_ladders import Rung

_SHOWN = 3


def photos(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of photos.", callback=checked("folder"))
    ],
    size: Annotated[
        str,
        typer.Option(
            metavar="N|HxW",
            help="Pixels at which photos are compared (bicubic).",
            rich_help_panel=DATA,
        ),
    ] = "128",
    limit: Annotated[
        int, typer.Option(min=1, help="Take the first so many photos.", rich_help_panel=DATA)
    ] = 200,
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Folder for table, pictures and CSV.",
            callback=checked("folder", written=True),
        ),
    ] = Path("photo-ladders"),
    device: options.Device = "auto",
    weights_dir: options.WeightsDir = None,
) -> None:
    """Corrupt your photos step by step: what each distance sees of it, and what it is blind to.

    Distances are those whose networks are there: FID, FD (EfficientNet-Lite0), FD (in-domain).
    """
    from spade_eval.devices import resolve_device
    from spade_eval.reports.tables.formats import as_markdown, as_text
    from spade_eval.reports.tables.photo_ladders import ladder_table
    from spade_eval.reports.tables.writing import write_csv, write_text

    pixels = options.parse_size(size)
    read = _read(folder, limit, pixels)
    weights = options.weights_dir_or_default(weights_dir)
    rungs = _measured(read, weights, resolve_device(device))
    table = ladder_table(rungs, len(read), pixels)
    assert table.frame is not None
    picture = _pictured(read[:_SHOWN], out)
    page = f"# {table.title}\n\n{as_markdown(table)}\n\n![steps]({picture.name})\n"
    wrote([
        write_csv(table.frame, out / "photos.csv"), write_text(page, out / "photos.md"), picture
    ])  # fmt: skip
    current().fields["rows"] = table.frame.to_dict("records")
    say(as_text(table))
    for note in table.notes:
        say(f"Note: {note}")
    say(f"\nThe same with pictures is in {out}")


def _read(folder: Path, limit: int, size: tuple[int, int]) -> "list[Pixels]":
    """Read the first photos at that size; `UserError` for too few."""
    import numpy as np
    from PIL import Image

    from spade_eval.datasets import files
    from spade_eval.progress import followed
    from spade_eval.reports.statistics.photo_ladders import FEWEST_PHOTOS

    paths = list(files.files_by_stem(folder, files.PHOTO_EXTENSIONS).values())[:limit]
    if len(paths) < FEWEST_PHOTOS:
        raise UserError(
            f"{folder}: {len(paths)} photos are looked at, expected at least {FEWEST_PHOTOS}; give "
            "a folder of more, or a larger --limit"
        )
    height, width = size
    return [
        np.array(
            Image.fromarray(files.read_photo(path)).resize(
                (width, height), Image.Resampling.BICUBIC
            )
        )
        for path in followed(paths, "reading", len(paths), "photo")
    ]


def _measured(read: "list[Pixels]", weights_dir: Path, device: "object") -> "list[Rung]":
    import torch

    from spade_eval.datasets.tools.corruptions import STEPS
    from spade_eval.progress import Progress
    from spade_eval.reports.statistics.photo_ladders import rungs
    from spade_eval.scoring.photo_ladders import distances_at_hand, features_of_steps

    assert isinstance(device, torch.device)
    found: list[Rung] = []
    for distance in distances_at_hand(weights_dir, device):
        with Progress(distance.title, len(STEPS), "step") as progress:
            halves = features_of_steps(read, distance, device, progress.advance)
        found += rungs(halves.column, halves.real, halves.clean, halves.corrupted)
    return found


def _pictured(shown: "list[Pixels]", out: Path) -> Path:
    """Write the steps of some photos, one column each, as one PNG."""
    import numpy as np
    from PIL import Image

    from spade_eval.datasets.tools.corruptions import STEPS
    from spade_eval.figures.grid import samples_grid

    columns: dict[str, list[Path]] = {}
    for title, apply in (("clean", None), *((step.title, step.apply) for step in STEPS)):
        columns[title] = [out / "steps" / f"{title} {place}.png" for place in range(len(shown))]
        columns[title][0].parent.mkdir(parents=True, exist_ok=True)
        for photo, path in zip(shown, columns[title], strict=True):
            made = photo if apply is None else apply(photo, np.random.default_rng(0))
            Image.fromarray(made).save(path)
    caption = "Steps of the ladders; modes are dropped between photos, not within one."
    return samples_grid(columns, out / "photos.png", caption)
