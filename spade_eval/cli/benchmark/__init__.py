# SPDX-License-Identifier: Apache-2.0
"""`spade-eval benchmark` and `score`: measure what is missing, show the table, compare rows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spade_eval.cli import options, tables
from spade_eval.cli.benchmark.chosen import Chosen, Comparing, chosen_rows, comparing
from spade_eval.cli.benchmark.estimate import Estimate, Rates, show_estimate, tell_before
from spade_eval.cli.benchmark.outside import OutsideFlags, require_no_generator
from spade_eval.cli.console.conditions import (
    BESIDE_SHIPPED,
    OUTSIDE_STUDIES,
    WITH_CHECKPOINT,
    WITH_ROWS,
    WITH_SAMPLING,
    WITH_TRAINING,
    WITHOUT_TABLE,
    is_checkpoint,
)
from spade_eval.cli.console.output import current, say
from spade_eval.cli.console.paths import checked
from spade_eval.cli.console.topics import PLACE, ROWS, SCORING
from spade_eval.cli.flags import (
    BudgetFlags,
    PlaceFlags,
    ProcessFlags,
    ReleasedFlags,
    RunFlags,
    ScoringFlags,
    grouped,
)
from spade_eval.cli.report import show_report, show_written
from spade_eval.errors import UserError

if TYPE_CHECKING:
    from spade_eval.config import RunConfig
    from spade_eval.engine import Benchmark
    from spade_eval.models.training.distributed import World
    from spade_eval.reports.run_report import RunReport
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


@grouped
def benchmark(
    context: typer.Context,
    *,
    run: RunFlags,
    budget: BudgetFlags,
    rows: RowFlags,
    asked: ScoredFlags,
    table: tables.Table = None,
    seeds: tables.Seeds = "1",
    jobs: tables.Jobs = None,
    launcher: tables.Launcher = "local",
    sbatch: tables.Sbatch = None,
    estimate: Annotated[Estimate, OUTSIDE_STUDIES] = False,
    rates: Rates = None,
) -> None:
    """Train and score models; prints the table and writes CSV, plots and a picture grid."""
    if rows.more_baselines and not rows.compare:
        words = " ".join(rows.more_baselines)
        raise UserError(f"unexpected {words!r}; expected flags, or names behind --compare")
    _require_one_process(asked)
    plan = tables.SeedPlan.parse(seeds)
    if table is None and plan == tables.SeedPlan(1):
        if estimate:
            _estimate(run, budget, rows, asked, rates)
        else:
            _measure(context, run, budget, rows, asked)
        return
    given = asked.request(rows)
    _require_usual(given)
    models = given.models if table is None else tuple(rows.model or ())
    of_jobs = tables.Asked(
        table=table, datasets=tables.datasets_of(run.dataset), models=models,
        first_seed=run.seed, seeds=plan, jobs=jobs, launcher=launcher,
        sbatch=tuple(sbatch or ()), out=asked.place.out, given=replace(given, models=()),
    )  # fmt: skip
    tables.run_jobs(
        context,
        of_jobs,
        lambda name, seed: asked.config(replace(run, dataset=name, seed=seed), budget),
        partial(asked.workplace, tracker=rows.tracker),
    )


def _require_one_process(asked: ScoredFlags) -> None:
    """Refuse a rule for processes that are still to be started, by this command or by its jobs."""
    from spade_eval.metrics.stopping import require_one_process

    processes = asked.processes
    require_one_process(asked.scoring.until or "", (processes.gpus or 1) * processes.nodes)


def _require_usual(given: "Request") -> None:
    """Refuse styles and sampling of the models of several jobs, which all have the same flags."""
    for name in given.style_inputs:
        if name in given.models:
            raise UserError(
                f"--style-input {name}=...: --table and --seeds score models in their usual style; "
                f"give another to the checkpoints afterwards: `spade-eval score {name}=FILE "
                f"--style-input {name}=STYLE`"
            )
    if given.sampling.flags and not given.checkpoints:
        flag, value = next(iter(given.sampling.flags.items()))
        raise UserError(
            f"{flag} {value}: --table and --seeds sample as each model was made to; give another "
            f"to its checkpoint afterwards: `spade-eval score NAME=FILE {flag} {value}`"
        )


@grouped
def score(
    context: typer.Context,
    *,
    images: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME=PATH", help="Folders of images, or checkpoints."),
    ] = None,
    compare: Compare = None,
    run: RunFlags,
    asked: ScoredFlags,
) -> None:
    """Score folders of images, checkpoints or generators of others; trains no generator."""
    _require_one_process(asked)
    # An option takes one word: the second baseline and all after it arrive as arguments.
    more = [word for word in images or () if compare and "=" not in word]
    words = [word for word in images or () if word not in more]
    require_no_generator(words)
    if not words and not asked.outside.generator:
        raise UserError(
            "score: nothing to score; give NAME=PATH (a folder of images or a checkpoint), or "
            "--generator NAME=package.module:factory"
        )
    named = options.named_paths("score", words, "file or folder")
    files = [f"{name}={path}" for name, path in named.items() if is_checkpoint(path)]
    folders = [f"{name}={path}" for name, path in named.items() if not is_checkpoint(path)]
    rows = RowFlags(
        model=[], images=folders, checkpoint=files, compare=compare, more_baselines=more
    )
    _measure(context, run, BudgetFlags(), rows, asked)


def _estimate(
    run: RunFlags, budget: BudgetFlags, rows: RowFlags, asked: ScoredFlags, rates: Path | None
) -> None:
    """Say what the run would take; the models are those that it would train."""
    planned = _planned(run, budget, rows, asked)
    suite, processes = planned.suite(None), asked.processes
    devices = (processes.gpus or 1) * processes.nodes
    show_estimate(suite, planned.request.models, devices, rates, scores=True)


@dataclass(frozen=True)
class _Planned:
    """What the flags of one run describe."""

    config: "RunConfig"
    request: "Request"
    chosen: Chosen
    given: tuple[str, ...]
    asked: ScoredFlags
    tracker: Sequence[str] | None

    def suite(self, world: "World | None") -> "Benchmark":
        from spade_eval.engine import Benchmark

        place = self.asked.workplace(self.config, self.asked.place.out, world, self.tracker)
        return Benchmark(self.config, place)


def _planned(run: RunFlags, budget: BudgetFlags, rows: RowFlags, asked: ScoredFlags) -> _Planned:
    config = asked.config(run, budget, red_team=rows.red_team)
    request = asked.request(rows)
    given = (*request.checkpoints, *request.images, *request.given)
    compared = comparing(rows.compare, rows.more_baselines, given, rows.train or rows.model)
    chosen = chosen_rows(config, rows.model, rows.train, compared, given)
    request = asked.request(rows, chosen.models, tuple(chosen.shipped))
    return _Planned(config, request, chosen, given, asked, rows.tracker)


def _measure(
    context: typer.Context,
    run: RunFlags,
    budget: BudgetFlags,
    rows: RowFlags,
    asked: ScoredFlags,
) -> None:
    with options.processes(context, device=asked.place.device, **vars(asked.processes)) as world:
        planned = _planned(run, budget, rows, asked)
        request, chosen, compared = planned.request, planned.chosen, planned.chosen.compared
        suite = planned.suite(world)
        place = suite.place
        names = {*planned.given, *request.models, *chosen.shipped.values()}
        compared.require(names, suite.recorded)
        if world.is_first:
            say("\n".join([*suite.protocol.lines(), *chosen.lines(), ""]))
        tell_before(suite, request.models, world, scores=True)
        measured = suite.run(request)
        if compared.baselines:
            suite.keep_images(request, world.on_first(lambda: _shown(place.run_folder, compared)))
        if world.is_first:
            listed = ", ".join(measured) or "nothing, all rows were recorded"
            say(f"measured now: {listed}\n")
            _show(place.run_folder, compared, rows.report, measured)


def _show(run_folder: Path, compared: "Comparing", report: bool, measured: list[str]) -> None:
    """Print the tables of a run once all their files are written."""
    current().fields |= {"measured": measured, "folder": run_folder}
    comparison = _comparison(run_folder, compared)
    if report:
        show_report(run_folder)
    if comparison is not None:
        say("")
        show_written(comparison, run_folder, "The comparison is in")


def _shown(run_folder: Path, compared: Comparing) -> list[str]:
    """Return the names of the images that the comparisons show."""
    from spade_eval.reports.comparison_report import compared_images

    return compared_images(run_folder, compared.subjects, compared.baselines)


def _comparison(run_folder: Path, compared: Comparing) -> "RunReport | None":
    """Write the comparisons of a run; None where none was asked for."""
    if not compared.baselines:
        return None
    from spade_eval.reports.comparison_report import write_comparisons

    return write_comparisons(run_folder, compared.subjects, compared.baselines)
