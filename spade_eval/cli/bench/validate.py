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

validate_app = App(help="Measure whether intervals and verdicts hold.", no_args_is_help=True)


@validate_app.callback()
def _group() -> None:
    """Keep `intervals` a command of its own name."""


@validate_app.command()
def intervals(
    replications: Annotated[int, typer.Option(min=2, help="Draws of each N.")] = 400,
    n: Annotated[
        list[int] | None,
        typer.Option(min=2, help="Images of a draw [default: 500, 200, 50]. Repeatable."),
    ] = None,
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE", help="A generator to score. Repeatable."),
    ] = None,
    population: Annotated[
        Path | None,
        typer.Option(
            callback=checked("folder"),
            help="A run folder whose images are the population [default: fresh scenes].",
        ),
    ] = None,
    scenes: Annotated[int, typer.Option(min=40, help="Fresh scenes of the population.")] = 3500,
    row: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ROW", help="Rows to validate [default: oracle and checkpoints]. Repeatable."
        ),
    ] = None,
    size: options.ImageSize = None,
    seed: options.Seed = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes; they change no number.")] = 1,
    device: options.Device = "auto",
    out: Annotated[
        Path,
        typer.Option(
            callback=checked("folder", written=True), help="Folder of table, figure and population."
        ),
    ] = Path("validation"),
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
    from spade_eval.reports.validation_report import (
        fill_with_validation,
        require_sizes,
        write_validation,
    )

    sizes = n or [500, 200, 50]
    require_sizes(sizes)
    checkpoints = options.named_paths("--checkpoint", checkpoint or (), "file")
    if population is not None and checkpoints:
        raise UserError("--checkpoint is scored on fresh scenes; give it without --population")
    if population is None:
        population = out / "population"
        _score_fresh_scenes(population, checkpoints, scenes, size, device)
        row = row or ["oracle", *checkpoints]
    with Progress("validating", len(sizes) * replications, "draw") as progress:
        written = write_validation(
            population, out, row or [], sizes, replications, seed, workers,
            lambda _: progress.advance(),
        )  # fmt: skip
    filled = fill_with_validation(into, written) if into is not None else []
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
