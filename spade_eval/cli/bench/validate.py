# SPDX-License-Identifier: Apache-2.0
"""`spade-eval validate`: whether what the suite says of its own numbers holds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spade_eval.cli import options
from spade_eval.cli.console.app import App
from spade_eval.cli.console.output import say, show, wrote
from spade_eval.cli.console.paths import checked
from spade_eval.errors import UserError

if TYPE_CHECKING:
    from spade_eval.datasets.scenes.dataset import Scenes
    from spade_eval.reports.run_report import RunReport

validate_app = App(help="Measure whether intervals and verdicts hold.", no_args_is_help=True)


Replications = Annotated[int, typer.Option(min=2, help="Draws of each N.")]
Checkpoints = Annotated[
    list[str] | None,
    typer.Option("--checkpoint", metavar="NAME=FILE", help="A generator to score. Repeatable."),
]
Population = Annotated[
    Path | None,
    typer.Option(
        callback=checked("folder"),
        help="A run folder whose images are the population [default: fresh scenes].",
    ),
]
FreshScenes = Annotated[int, typer.Option(min=40, help="Fresh scenes of the population.")]
Rows = Annotated[
    list[str] | None,
    typer.Option(
        "--row",
        metavar="ROW",
        help="Rows to validate [default: oracle and checkpoints; of --population, all]. "
        "Repeatable.",
    ),
]
Workers = Annotated[int, typer.Option(min=1, help="Processes; they change no number.")]
Out = Annotated[
    Path,
    typer.Option(
        callback=checked("folder", written=True), help="Folder of table, figure and population."
    ),
]
_OUT = Path("validation")


@validate_app.command()
def intervals(
    replications: Replications = 400,
    n: Annotated[
        list[int] | None,
        typer.Option(min=2, help="Images of a draw [default: 500, 200, 50]. Repeatable."),
    ] = None,
    checkpoint: Checkpoints = None,
    population: Population = None,
    scenes: FreshScenes = 3500,
    row: Rows = None,
    size: options.ImageSize = None,
    seed: options.Seed = 0,
    workers: Workers = 1,
    device: options.Device = "auto",
    out: Out = _OUT,
    into: Annotated[
        Path | None,
        typer.Option(
            callback=checked("file", written=True),
            help="Fill the block `validation` of this Markdown page as well.",
        ),
    ] = None,
) -> None:
    """Draw label maps from a known population and count how often intervals hold the truth."""
    from spade_eval.progress import Progress
    from spade_eval.reports.tables.filled_page import require_block
    from spade_eval.reports.validation_report import (
        INTERVALS,
        fill_with_validation,
        require_sizes,
        write_validation,
    )

    sizes = n or [500, 200, 50]
    require_sizes(sizes)
    if into is not None:
        require_block(into, INTERVALS)
    fresh = population is None
    population, rows = _population(population, row, checkpoint, scenes, size, device, out)
    with Progress("validating", len(sizes) * replications, "draw") as progress:
        written = write_validation(
            population, out, rows, sizes, replications, seed, workers,
            lambda _: progress.advance(), fresh,
        )  # fmt: skip
    _show(written, fill_with_validation(into, written) if into is not None else [])


@validate_app.command()
def stopping(
    until: Annotated[
        str,
        typer.Option(
            metavar="METRIC+-POINTS", help="The rule: what is looked at, and where rows stop."
        ),
    ] = "miou+-2",
    replications: Replications = 400,
    n: Annotated[int, typer.Option(min=2, help="Images of a draw.")] = 1000,
    every: Annotated[
        int, typer.Option(min=1, help="Images from one look to the next, after the first at 100.")
    ] = 20,
    checkpoint: Checkpoints = None,
    population: Population = None,
    scenes: FreshScenes = 3500,
    row: Rows = None,
    size: options.ImageSize = None,
    seed: options.Seed = 0,
    workers: Workers = 1,
    device: options.Device = "auto",
    out: Out = _OUT,
    into: Annotated[
        Path | None,
        typer.Option(
            callback=checked("file", written=True),
            help="Fill the block `stopping` of this Markdown page as well.",
        ),
    ] = None,
) -> None:
    """Look at draws again and again, as --until does, and count who leaves out the truth."""
    from spade_eval.metrics.stopping import StoppingRule
    from spade_eval.progress import Progress
    from spade_eval.reports.tables.filled_page import require_block
    from spade_eval.reports.validation_report import (
        STOPPING,
        fill_with_stopping,
        looks_at,
        write_stopping,
    )

    rule, looks = StoppingRule.parse(until), looks_at(n, every)
    if into is not None:
        require_block(into, STOPPING)
    fresh = population is None
    population, rows = _population(population, row, checkpoint, scenes, size, device, out)
    with Progress("validating", replications, "draw") as progress:
        written = write_stopping(
            population, out, rows, rule, looks, replications, seed, workers, progress.advance,
            fresh,
        )  # fmt: skip
    _show(written, fill_with_stopping(into, written) if into is not None else [])


@validate_app.command()
def people(
    replications: Annotated[int, typer.Option(min=2, help="Studies of each kind.")] = 1000,
    seed: options.Seed = 0,
    out: Out = _OUT,
    into: Annotated[
        Path | None,
        typer.Option(
            callback=checked("file", written=True),
            help="Fill the block `people_validation` of this Markdown page as well.",
        ),
    ] = None,
) -> None:
    """Ask simulated people whose preferences are known, and count how often intervals hold them."""
    from spade_eval.progress import Progress
    from spade_eval.reports.tables.filled_page import require_block
    from spade_eval.reports.validation_report import (
        KINDS_OF_PEOPLE,
        PEOPLE,
        fill_with_people_validation,
        write_people_validation,
    )

    if into is not None:
        require_block(into, PEOPLE)
    with Progress("validating", len(KINDS_OF_PEOPLE) * replications, "draw") as progress:
        written = write_people_validation(out, replications, seed, progress.advance)
    _show(written, fill_with_people_validation(into, written) if into is not None else [])


@validate_app.command()
def ratings(
    splits: Annotated[int, typer.Option(min=2, help="Random halves of each set.")] = 1000,
    seed: options.Seed = 0,
    out: Out = _OUT,
    into: Annotated[
        Path | None,
        typer.Option(
            callback=checked("file", written=True),
            help="Fill the block `ratings_validation` of this Markdown page as well.",
        ),
    ] = None,
) -> None:
    """Count on published ratings of real people, and how often half of them tells the other."""
    from spade_eval.progress import Progress
    from spade_eval.reports.statistics.ratings_validation import num_splits
    from spade_eval.reports.tables.filled_page import require_block
    from spade_eval.reports.validation_report import (
        RATINGS,
        fill_with_ratings_validation,
        write_ratings_validation,
    )

    if into is not None:
        require_block(into, RATINGS)
    with Progress("validating", num_splits(splits), "split") as progress:
        written = write_ratings_validation(out, splits, seed, progress.advance)
    _show(written, fill_with_ratings_validation(into, written) if into is not None else [])


def _population(
    given: Path | None,
    rows: list[str] | None,
    checkpoint: list[str] | None,
    scenes: int,
    size: str | None,
    device: str,
    out: Path,
) -> tuple[Path, list[str]]:
    """Return the run folder to draw from, scored where it is of fresh scenes, and its rows."""
    checkpoints = options.named_paths("--checkpoint", checkpoint or (), "file")
    if given is not None:
        if checkpoints:
            raise UserError("--checkpoint is scored on fresh scenes; give it without --population")
        return given, rows or []
    folder = out / "population"
    _score_fresh_scenes(folder, checkpoints, scenes, size, device)
    return folder, rows or ["oracle", *checkpoints]


def _show(written: "RunReport", filled: list[Path]) -> None:
    show(written.text)
    wrote([*written.paths, *filled])
    for path in (*written.paths, *filled):
        say(f"  {path}")


def _score_fresh_scenes(
    folder: Path, checkpoints: dict[str, Path], count: int, size: str | None, device: str
) -> None:
    """Score what is missing of a run of scenes that no split holds."""
    from spade_eval.engine import Benchmark
    from spade_eval.rows import Request

    config = options.run_config("scenes", "default", 0, size, profile="in-domain")
    place = options.workplace(config, folder, None, None, device, save_images="none")
    fresh = _fresh_scenes(config.budget.size, count)
    Benchmark(config, place, fresh).run(Request(checkpoints=checkpoints))


def _fresh_scenes(size: tuple[int, int], count: int) -> "Scenes":
    from spade_eval.datasets.scenes.dataset import LENGTHS, Scenes

    return Scenes("val", size, length=count, first=LENGTHS["val"])
