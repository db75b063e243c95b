# SPDX-License-Identifier: Apache-2.0
"""Flags of `benchmark` and `score`: which rows are measured, how their images are scored, where."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spade_eval.cli import options, tables
from spade_eval.cli.benchmark.outside import OutsideFlags
from spade_eval.cli.console.conditions import (
    BESIDE_SHIPPED,
    OUTSIDE_STUDIES,
    WITH_CHECKPOINT,
    WITH_ROWS,
    WITH_SAMPLING,
    WITH_TRAINING,
    WITHOUT_TABLE,
)
from spade_eval.cli.console.paths import checked
from spade_eval.cli.console.topics import PLACE, ROWS, SCORING
from spade_eval.cli.flags import (
    BudgetFlags,
    PlaceFlags,
    ProcessFlags,
    ReleasedFlags,
    RunFlags,
    ScoringFlags,
)

if TYPE_CHECKING:
    from spade_eval.config import RunConfig
    from spade_eval.models.training.distributed import World
    from spade_eval.rows import Request
    from spade_eval.workplace import Workplace

Compare = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ROW...",
        help="Rows that the given checkpoints and image folders are compared with, as in --compare "
        "spade concat: baselines that ship; others are trained where they are missing, by "
        "`benchmark` alone.",
        rich_help_panel=ROWS,
    ),
]


class NoisePer(str, Enum):
    """What has a latent of its own."""

    image = "image"
    class_ = "class"
    region = "region"


class TestMode(str, Enum):
    """How pix2pix synthesizes."""

    train = "train"
    eval = "eval"


@dataclass(frozen=True, kw_only=True)
class RowFlags:
    """Which rows are measured, and which of them are compared."""

    # An option takes one word, so the second baseline and all after it arrive as arguments.
    more_baselines: Annotated[
        list[str] | None,
        typer.Argument(metavar="ROW", help="More baselines of --compare.", show_default=False),
    ] = None
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Model to train and score, or none [default: the baselines that ship, without a "
            "training; where none fits: spade, concat, pix2pixhdpp; with --table, all of it]. "
            "Repeatable.",
            rich_help_panel=ROWS,
        ),
    ] = None
    train: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Model to train and score beside the baselines that ship, or none. Repeatable.",
            rich_help_panel=ROWS,
        ),
        BESIDE_SHIPPED,
    ] = None
    images: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=DIR",
            help="Score a folder of images named as the val set. Repeatable.",
            rich_help_panel=ROWS,
        ),
        WITHOUT_TABLE,
    ] = None
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE",
            help="Score a checkpoint, ours or a released one (*_net_G.pth, best_EMA.pth). "
            "Repeatable.",
            rich_help_panel=ROWS,
        ),
        WITHOUT_TABLE,
    ] = None
    red_team: Annotated[
        bool,
        typer.Option(
            "--red-team",
            help="Also score rows that try to cheat, under all in-domain segmenters; the report "
            "says which column tells them.",
            rich_help_panel=ROWS,
        ),
        OUTSIDE_STUDIES,
    ] = False
    compare: Annotated[Compare, OUTSIDE_STUDIES] = None
    tracker: Annotated[options.Trackers, WITH_TRAINING] = None
    report: tables.Report = True


@dataclass(frozen=True, kw_only=True)
class ScoredPlaceFlags(PlaceFlags):
    """Where images are scored and kept."""

    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Statistics of the real photos, from `spade-eval stats make`.",
            rich_help_panel=SCORING,
            callback=checked("file"),
        ),
    ] = None
    save_images: Annotated[
        str,
        typer.Option(
            metavar="all|none|N",
            help="Images of every row to keep as PNG, the first so many.",
            rich_help_panel=PLACE,
        ),
    ] = options.FEW_IMAGES


@dataclass(frozen=True, kw_only=True)
class ScoredFlags:
    """What `benchmark` and `score` have in common: how images are scored, and where."""

    style_input: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=STYLE",
            help="What the generator of a row is given besides label maps. SEAN takes 'class "
            "means' (the default), 'another photo' or 'real image (same)'; of folders you say it: "
            "these, none, random or 'real image'. Repeatable.",
            rich_help_panel=ROWS,
        ),
        WITH_ROWS,
    ] = None
    noise_per: Annotated[
        NoisePer,
        typer.Option(
            help="What of an image of the given checkpoints gets a latent of its own; class and "
            "region are for OASIS's noise.",
            rich_help_panel=ROWS,
        ),
        WITH_CHECKPOINT,
    ] = NoisePer.image
    test_mode: Annotated[
        TestMode | None,
        typer.Option(
            help="How given checkpoints of pix2pix synthesize: as trained, with dropout and the "
            "image's own statistics (as released, the default), or in evaluation mode.",
            rich_help_panel=ROWS,
        ),
        WITH_CHECKPOINT,
    ] = None
    sampling_steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Steps in which a diffusion model makes an image, evenly spaced among those of "
            "its training [default: as it was made to].",
            rich_help_panel=ROWS,
        ),
        WITH_SAMPLING,
    ] = None
    guidance: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="S",
            help="How strongly a diffusion model follows the label map; 1 is without guidance, "
            "which is faster [default: as it was made to].",
            rich_help_panel=ROWS,
        ),
        WITH_SAMPLING,
    ] = None
    outside: OutsideFlags
    released: ReleasedFlags
    scoring: ScoringFlags
    place: ScoredPlaceFlags
    processes: ProcessFlags

    def request(
        self, rows: RowFlags, models: Sequence[str] | None = None, shipped: Sequence[str] = ()
    ) -> "Request":
        """Return the rows that are asked for; `models` instead of those of the flags."""
        from spade_eval.config import FIRST_THREE
        from spade_eval.jobs.job import REFERENCES
        from spade_eval.models.choices import Sampling
        from spade_eval.rows import Request

        folders = options.named_paths("--images", rows.images or (), "folder")
        files = options.named_paths("--checkpoint", rows.checkpoint or (), "file")
        models = (rows.train or rows.model) if models is None else models
        named = [name for name in models or () if name != REFERENCES]
        specs = self.outside.specs()
        known = [*folders, *files, *named, *specs]
        styles = options.style_inputs(self.style_input or (), known)
        sampling = Sampling(steps=self.sampling_steps, guidance=self.guidance)
        return Request(
            FIRST_THREE if models is None else tuple(named),
            files,
            folders,
            options.released_options(**vars(self.released)),
            styles,
            self.noise_per.value,
            None if self.test_mode is None else self.test_mode.value,
            sampling,
            rows.red_team,
            tuple(shipped),
            self.outside.generators(specs, styles, sampling),
            self.outside.stated([*folders, *files, *specs]),
        )

    def config(self, run: RunFlags, budget: BudgetFlags, *, red_team: bool = False) -> "RunConfig":
        """Return the configuration that the flags describe; a red team meets every segmenter."""
        scoring = vars(self.scoring)
        if red_team:
            scoring = {**scoring, "segmenter": options.red_team_segmenters(**scoring)}
        return options.run_config(**vars(run), **budget.changes(), **scoring)

    def workplace(
        self,
        config: "RunConfig",
        out: Path | None,
        world: "World | None" = None,
        tracker: Sequence[str] | None = None,
    ) -> "Workplace":
        """Return where that run happens, in the folder `out`."""
        place = replace(self.place, out=out)
        return options.workplace(config, **vars(place), world=world, tracker=tracker)
