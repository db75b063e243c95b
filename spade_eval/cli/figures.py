# SPDX-License-Identifier: Apache-2.0
"""`spade-eval figures`: Figures 1, 3 and 9 of the paper as numbers and pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spade_eval.cli import options

if TYPE_CHECKING:
    from spade_eval.datasets.base import Dataset
    from spade_eval.sources.checkpoints import ReleasedOptions

figures_app = typer.Typer(help="Figures of the paper, from checkpoints or with random weights.")

_DEFAULT_SIZE = "64"
_MOST_MAPS = 7  # rows of a picture, besides the row of style photos
Folder = Annotated[Path, typer.Option("--out", help="Folder of the pictures.")]
LatentCheckpoint = Annotated[
    Path | None,
    typer.Option(help="A generator with a latent, ours or released [default: random weights]."),
]
Score = Annotated[
    int,
    typer.Option(min=0, help="Label maps on which mIoU and diversity over latents are measured."),
]
Into = Annotated[
    Path | None,
    typer.Option(help="Put picture and numbers into their block of this Markdown page as well."),
]
Maps = Annotated[int, typer.Option(min=1, max=_MOST_MAPS, help="Number of label maps.")]


@figures_app.command()
def washaway(
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(help="A trained generator. Repeatable [default: random weights]."),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(help="A class of the dataset. Repeatable [default: the first three]."),
    ] = None,
    dataset: options.Dataset = "scenes",
    data_root: options.DataRoot = None,
    size: options.ImageSize = None,
    arch: options.Arch = None,
    upsampling: options.Upsampling = None,
    label_layout: options.LabelLayout = None,
    seed: options.Seed = 0,
    out: Folder = Path("figures"),
) -> None:
    """Figure 3: uniform label maps through pix2pixHD, SPADE and pix2pixHD++."""
    from spade_eval.figures.washaway import washaway as computed

    released = options.released_options(arch, upsampling, label_layout)
    split = _split(dataset, data_root, size, released, checkpoint[0] if checkpoint else None)
    labels = label or list(split.label_space.class_names[:3])
    _show(*computed(out, split, labels, checkpoint or (), released, seed))


@figures_app.command()
def multimodal(
    checkpoint: LatentCheckpoint = None,
    maps: Maps = 3,
    latents: Annotated[int, typer.Option(min=2, max=16, help="Images of each label map.")] = 4,
    score: Score = 100,
    dataset: options.Dataset = "scenes",
    data_root: options.DataRoot = None,
    size: options.ImageSize = None,
    arch: options.Arch = None,
    upsampling: options.Upsampling = None,
    label_layout: options.LabelLayout = None,
    seed: options.Seed = 0,
    out: Folder = Path("figures"),
    into: Into = None,
) -> None:
    """Figure 9: each label map with several latents."""
    from spade_eval.figures.styles import multimodal as computed

    released = options.released_options(arch, upsampling, label_layout)
    split = _split(dataset, data_root, size, released, checkpoint)
    _show(*computed(out, split, checkpoint, released, maps, latents, seed, score), into)


@figures_app.command()
def style(
    checkpoint: LatentCheckpoint = None,
    encoder: Annotated[
        Path | None, typer.Option(help="The image encoder that was trained with it.")
    ] = None,
    style_image: Annotated[
        list[Path] | None,
        typer.Option(help="An image whose style to take. Repeatable [default: val photos]."),
    ] = None,
    maps: Maps = 3,
    styles: Annotated[int, typer.Option(min=1, max=16, help="Number of val photos.")] = 4,
    score: Score = 100,
    dataset: options.Dataset = "scenes",
    data_root: options.DataRoot = None,
    size: options.ImageSize = None,
    arch: options.Arch = None,
    upsampling: options.Upsampling = None,
    label_layout: options.LabelLayout = None,
    seed: options.Seed = 0,
    out: Folder = Path("figures"),
    into: Into = None,
) -> None:
    """Figure 1: label maps x style images through the encoder."""
    from spade_eval.figures.styles import style as computed

    released = options.released_options(arch, upsampling, label_layout)
    split = _split(dataset, data_root, size, released, checkpoint)
    files = style_image or ()
    _show(
        *computed(out, split, checkpoint, encoder, released, maps, files, styles, seed, score), into
    )


def _split(
    dataset: str,
    data_root: Path | None,
    size: str | None,
    released: "ReleasedOptions",
    checkpoint: Path | None,
) -> "Dataset":
    """The val split, at a latent-input checkpoint's own size unless a size is given."""
    from spade_eval.datasets import open_dataset
    from spade_eval.figures.networks import latent_size

    own = latent_size(checkpoint, released) if checkpoint and size is None else None
    pixels = own or options.parse_size(size or _DEFAULT_SIZE)
    return open_dataset(dataset, "val", pixels, options.data_root_or_default(data_root))


def _show(lines: list[str], picture: Path, into: Path | None = None) -> None:
    typer.echo("\n".join(lines))
    typer.echo(f"picture: {picture}")
    if into is not None:
        from spade_eval.reports.tables.filled_page import fill_with_figure

        for path in fill_with_figure(into, picture, lines):
            typer.echo(f"  {path}")
