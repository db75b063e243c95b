# SPDX-License-Identifier: Apache-2.0
"""`spade-eval stats`: reference statistics of FID, made once and used by every run after."""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spade_eval.cli import options
from spade_eval.cli.console.app import App
from spade_eval.cli.console.conditions import WITH_DATASET
from spade_eval.cli.console.output import say, show, wrote
from spade_eval.cli.console.paths import checked
from spade_eval.cli.console.topics import DATA, PLACE
from spade_eval.errors import UserError

if TYPE_CHECKING:
    from spade_eval.scoring.reference_statistics import ImageSet, ReferenceStatistics

stats_app = App(help="Make and look at reference statistics of FID.")


class Store(str, Enum):
    """What is kept of the features."""

    moments = "moments"
    features = "features"


@stats_app.command()
def make(
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="The .npz file to write.", callback=checked("file", written=True)
        ),
    ],
    dataset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Photos of a dataset, as scenes or cocostuff.",
            rich_help_panel=DATA,
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Instead of a dataset: a folder of images.",
            rich_help_panel=DATA,
            callback=checked("folder"),
        ),
    ] = None,
    split: Annotated[
        str,
        typer.Option(metavar="train|val", help="Of the dataset.", rich_help_panel=DATA),
        WITH_DATASET,
    ] = "val",
    size: Annotated[
        str | None,
        typer.Option(
            metavar="N|HxW",
            help="A dataset's photos are resized; a folder must have it.",
            rich_help_panel=DATA,
        ),
    ] = None,
    fid_profile: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="pytorch-fid, torch-fidelity, legacy-2019a, legacy-2018, clean-fid or "
            "oasis-train.",
        ),
    ] = "pytorch-fid",
    store: Annotated[
        Store, typer.Option(help="Moments for FID; features for KID, precision and recall too.")
    ] = Store.moments,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Only the first so many images.", rich_help_panel=DATA),
    ] = None,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Images per forward pass.", rich_help_panel=PLACE)
    ] = 20,
    data_root: options.DataRoot = None,
    weights_dir: options.WeightsDir = None,
    device: options.Device = "auto",
) -> None:
    """Compute features of real photos and store them with profile, hashes, count and size."""
    from spade_eval.devices import resolve_device
    from spade_eval.errors import lookup
    from spade_eval.metrics.fid_profiles import FID_PROFILES
    from spade_eval.progress import followed
    from spade_eval.scoring.reference_statistics import make_statistics
    from spade_eval.weights import installed

    # Before any image is read: a missing file of weights ends the command at once.
    folder = options.weights_dir_or_default(weights_dir)
    installed(lookup(FID_PROFILES, fid_profile, "FID profile").weights, folder)
    if out.is_dir():
        raise UserError(f"--out {out} is a folder; expected the name of an .npz file")
    reference = _image_set(dataset, images, split, size, data_root, limit)
    title = f"features of {reference.origin}"
    shown = followed(reference.images, title, len(reference.names), "image")
    statistics = make_statistics(
        reference._replace(images=shown),
        fid_profile,
        folder,
        resolve_device(device),
        store.value,
        batch_size,
    )
    statistics.save(out)
    wrote([out])
    say(f"wrote {out}")
    _show(statistics)


@stats_app.command(name="show")
def show_file(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="What `stats make` wrote.", callback=checked("file")),
    ],
) -> None:
    """Say what stored statistics are of."""
    from spade_eval.scoring.reference_statistics import load_statistics

    _show(load_statistics(file))


def _image_set(
    dataset: str | None,
    images: Path | None,
    split: str,
    size: str | None,
    data_root: Path | None,
    limit: int | None,
) -> "ImageSet":
    from spade_eval.datasets import open_dataset
    from spade_eval.scoring.reference_statistics import images_in, photos_of

    if (dataset is None) == (images is None):
        raise UserError(
            "stats make: expected either --dataset NAME or --images DIR, found "
            f"{'neither' if dataset is None else 'both'}"
        )
    pixels = None if size is None else options.parse_size(size)
    if images is not None:
        return images_in(images, pixels, limit)
    assert dataset is not None
    if pixels is None:
        raise UserError(
            "stats make --dataset needs --size: photos are resized to the size at which images are "
            "scored, for example --size 256"
        )
    root = options.data_root_or_default(data_root)
    return photos_of(open_dataset(dataset, split, pixels, root), limit)


def _show(statistics: "ReferenceStatistics") -> None:
    identity = statistics.identity
    kept = "moments" if statistics.features is None else "features"
    lines = [
        f"  of       {statistics.origin}, {identity.num_images} images of "
        f"{identity.height}x{identity.width} (height x width)",
        f"  profile  {identity.profile}, {kept}",
        f"  weights  sha-256 {identity.weights_sha256}",
        f"  list     sha-256 {identity.list_sha256}",
        f"  content  sha-256 {statistics.content_sha256}",
    ]
    facts = {"origin": statistics.origin, "content_sha256": statistics.content_sha256, "kept": kept}
    show("\n".join(lines), statistics={**vars(identity), **facts})
