# SPDX-License-Identifier: Apache-2.0
"""`spade-eval figures`: Figures 1, 3 and 9 of SPADE's paper, and OASIS's noise, as pictures."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spade_eval.cli import options
from spade_eval.cli.console.app import App
from spade_eval.cli.console.conditions import WITHOUT_STYLE_IMAGES
from spade_eval.cli.console.output import show, wrote
from spade_eval.cli.console.paths import checked
from spade_eval.cli.console.topics import OUTPUT, PLACE
from spade_eval.cli.flags import ReleasedFlags, grouped

if TYPE_CHECKING:
    from spade_eval.datasets.base import Dataset
    from spade_eval.sources.checkpoints import ReleasedOptions

figures_app = App(help="Figures of the paper, from checkpoints or with random weights.")

_DEFAULT_SIZE = "64"
_MOST_MAPS = 7  # rows of a picture, besides the row of style photos


@dataclass(frozen=True, kw_only=True)
class FigureFlags:
    """Of which data a figure is, and where it goes."""

    dataset: options.Dataset = "scenes"
    data_root: options.DataRoot = None
    size: options.ImageSize = None
    released: ReleasedFlags
    seed: options.Seed = 0
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Folder of the pictures.",
            rich_help_panel=PLACE,
            callback=checked("folder", written=True),
        ),
    ] = Path("figures")

    def said(self) -> "ReleasedOptions":
        """Return what the flags say about released files."""
        return options.released_options(**vars(self.released))

    def split(self, checkpoint: Path | None) -> "Dataset":
        """Open the val split, at a latent-input checkpoint's own size unless one is given."""
        from spade_eval.datasets import open_dataset
        from spade_eval.figures.networks import latent_size

        own = latent_size(checkpoint, self.said()) if checkpoint and self.size is None else None
        pixels = own or options.parse_size(self.size or _DEFAULT_SIZE)
        root = options.data_root_or_default(self.data_root)
        return open_dataset(self.dataset, "val", pixels, root)


@dataclass(frozen=True, kw_only=True)
class LatentFigureFlags(FigureFlags):
    """The same for figures of a generator with a latent."""

    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A generator with a latent, ours or released [default: random weights].",
            callback=checked("file"),
        ),
    ] = None
    maps: Annotated[int, typer.Option(min=1, max=_MOST_MAPS, help="Number of label maps.")] = 3
    into: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Put picture and numbers into their block of this Markdown page as well.",
            rich_help_panel=OUTPUT,
            callback=checked("file", written=True),
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class ScoredFigureFlags(LatentFigureFlags):
    """The same with numbers that are measured."""

    score: Annotated[
        int,
        typer.Option(
            min=0, help="Label maps on which mIoU and diversity over latents are measured."
        ),
    ] = 100


@figures_app.command()
@grouped
def washaway(
    *,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="A trained generator. Repeatable [default: random weights].",
            callback=checked("file"),
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLASS", help="Of the dataset. Repeatable [default: the first three]."
        ),
    ] = None,
    asked: FigureFlags,
) -> None:
    """Figure 3: uniform label maps through pix2pixHD, SPADE and pix2pixHD++."""
    from spade_eval.figures.washaway import washaway as computed

    split = asked.split(checkpoint[0] if checkpoint else None)
    labels = label or list(split.label_space.class_names[:3])
    _show(*computed(asked.out, split, labels, checkpoint or (), asked.said(), asked.seed))


@figures_app.command()
@grouped
def multimodal(
    *,
    latents: Annotated[int, typer.Option(min=2, max=16, help="Images of each label map.")] = 4,
    asked: ScoredFigureFlags,
) -> None:
    """Figure 9: each label map with several latents."""
    from spade_eval.figures.styles import multimodal as computed

    _require_block(asked.into, "multimodal")
    split = asked.split(asked.checkpoint)
    _show(
        *computed(
            asked.out, split, asked.checkpoint, asked.said(), asked.maps, latents, asked.seed,
            asked.score,
        ),
        asked.into,
    )  # fmt: skip


@figures_app.command()
@grouped
def style(
    *,
    encoder: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The image encoder that was trained with it.",
            callback=checked("file"),
        ),
    ] = None,
    style_image: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="An image whose style to take. Repeatable [default: val photos].",
            callback=checked("file"),
        ),
    ] = None,
    styles: Annotated[
        int, typer.Option(min=1, max=16, help="Number of val photos."), WITHOUT_STYLE_IMAGES
    ] = 4,
    asked: ScoredFigureFlags,
) -> None:
    """Figure 1: label maps x style images through the encoder."""
    from spade_eval.figures.styles import style as computed

    _require_block(asked.into, "style")
    split = asked.split(asked.checkpoint)
    _show(
        *computed(
            asked.out, split, asked.checkpoint, encoder, asked.said(), asked.maps,
            style_image or (), styles, asked.seed, asked.score,
        ),
        asked.into,
    )  # fmt: skip


def _require_block(page: Path | None, name: str) -> None:
    """Refuse a page without a place for the figure before the figure is made."""
    if page is not None:
        from spade_eval.reports.tables.filled_page import require_block

        require_block(page, name)


@figures_app.command()
@grouped
def noise(*, asked: LatentFigureFlags) -> None:
    """OASIS's 3D noise: z per image, per class, per region, and for one class anew."""
    from spade_eval.figures.noise import noise as computed

    _require_block(asked.into, "noise")
    split = asked.split(asked.checkpoint)
    _show(
        *computed(asked.out, split, asked.checkpoint, asked.said(), asked.maps, asked.seed),
        asked.into,
    )


def _show(lines: list[str], picture: Path, into: Path | None = None) -> None:
    filled = []
    if into is not None:
        from spade_eval.reports.tables.filled_page import fill_with_figure

        filled = fill_with_figure(into, picture, lines)
    wrote([picture, *filled])
    show("\n".join(lines))
    show(f"picture: {picture}", picture=picture)
    for path in filled:
        show(f"  {path}", picture=picture)
