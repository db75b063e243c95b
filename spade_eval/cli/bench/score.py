# SPDX-License-Identifier: Apache-2.0
"""`spade-eval bench score`: one pass from label map to scores against the usual three steps."""

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spade_eval.cli import options
from spade_eval.cli.bench.lines import Save, print_lines
from spade_eval.errors import UserError

if TYPE_CHECKING:
    from spade_eval.bench.score import ScoreTiming, Way
    from spade_eval.config import RunConfig
    from spade_eval.models.training.distributed import World
    from spade_eval.rows import Workplace


def bench_score(
    context: typer.Context,
    model: Annotated[str, typer.Option(help="A generator of `spade-eval models`.")] = "spade",
    images: Annotated[
        list[int] | None, typer.Option(min=2, help="[default: 100]. Repeatable.")
    ] = None,
    distinct: Annotated[
        int, typer.Option(min=2, help="Samples of the split that are repeated to that number.")
    ] = 16,
    size: options.ImageSize = "256",
    width: Annotated[float, typer.Option(min=0.01, help="1 is the paper's.")] = 1.0,
    way: Annotated[
        list[str] | None,
        typer.Option(
            help="one pass; one pass, PNG kept; three steps; three steps, dense [default: all; "
            "of several processes the first]. Repeatable."
        ),
    ] = None,
    dataset: options.Dataset = "scenes",
    data_root: options.DataRoot = None,
    profile: options.Profile = None,
    segmenter: options.Segmenter = None,
    filled_weights: options.FilledWeights = False,
    fid_profile: options.FIDProfile = None,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each, in turn; medians count.")] = 3,
    device: options.Device = "auto",
    gpus: options.GPUs = None,
    weights_dir: options.WeightsDir = None,
    save: Save = None,
) -> None:
    """Time scoring of an untrained generator: a table, then a line of JSON for each row."""
    with options.processes(context, gpus, 1, None, 0, device) as world:
        ways = _ways(way, world)
        # A segmenter that nobody has trained yet takes as long as a trained one.
        config = options.run_config(
            dataset, "default", 0, size, segmenter, filled_weights, fid_profile, 0, profile,
            segmenter_steps=1,
        )  # fmt: skip
        rows: list[ScoreTiming] = []
        for count in images or [100]:
            with tempfile.TemporaryDirectory() as folder:
                place = options.workplace(
                    config, Path(folder), data_root, weights_dir, device, world=world
                )
                rows += _timed(config, place, model, width, count, distinct, ways, repeats)
        if world.is_first:
            typer.echo("\n".join([_HEADER, *map(_line, rows)]))
            print_lines("score", [dataclasses.asdict(row) for row in rows], save)


def _ways(names: "list[str] | None", world: "World") -> "list[Way]":
    from spade_eval.bench.score import WAYS
    from spade_eval.errors import lookup

    if world.size > 1:
        if names:
            raise UserError(
                f"--way {names[0]!r} with {world.size} processes: only one pass is shared by "
                "processes; leave --way out, or --gpus"
            )
        return [WAYS[0]]
    return [lookup({way: way for way in WAYS}, name, "way") for name in names or WAYS]


def _timed(
    config: "RunConfig",
    place: "Workplace",
    model: str,
    width: float,
    count: int,
    distinct: int,
    ways: "list[Way]",
    repeats: int,
) -> "list[ScoreTiming]":
    from spade_eval.bench.score import RepeatedSamples, time_score
    from spade_eval.engine import Benchmark
    from spade_eval.errors import as_user_error

    networks = Benchmark(config, place).networks
    dataset = RepeatedSamples(networks.dataset, distinct, count)
    scorer = dataclasses.replace(networks.scorer, dataset=dataset, count=count)
    with as_user_error(f"bench score {model}"):
        return time_score(
            scorer, scorer.references(), model, width=width, ways=ways, repeats=repeats
        )


_HEADER = (
    f"{'size':>11} {'images':>6} {'processes':>9} {'way':<19} {'median':>10} {'from - to':>19} "
    f"{'ms/image':>9} {'ratio':>6} {'peak MiB':>8}"
)


def _line(row: "ScoreTiming") -> str:
    pixels, spread = f"{row.height} x {row.width}", f"{row.fastest:.2f} - {row.slowest:.2f}"
    ratio = "-" if row.ratio is None else f"{row.ratio:.2f}"
    peak = "-" if row.peak_mib is None else f"{row.peak_mib:.0f}"
    return (
        f"{pixels:>11} {row.images:>6} {row.processes:>9} {row.way:<19} {row.seconds:>8.2f} s "
        f"{spread:>19} {1000 * row.seconds / row.images:>9.1f} {ratio:>6} {peak:>8}"
    )
