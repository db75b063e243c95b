# SPDX-License-Identifier: Apache-2.0
"""`spade-eval bench score`: one pass from label map to scores against the usual three steps."""

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spade_eval.cli import options
from spade_eval.cli.bench.flags import Model, NetworkWidth, Repeats, Save
from spade_eval.cli.bench.lines import (
    PEAK,
    RATIO,
    SIZE,
    Column,
    print_lines,
    print_table,
    spread,
)
from spade_eval.errors import UserError

if TYPE_CHECKING:
    from spade_eval.bench.score import Way
    from spade_eval.bench.timing import Row
    from spade_eval.config import RunConfig
    from spade_eval.models.training.distributed import World
    from spade_eval.workplace import Workplace

COLUMNS = (
    SIZE,
    Column("images", 6, lambda row: f"{row['images']}"),
    Column("processes", 9, lambda row: f"{row['processes']}"),
    Column("way", 19, lambda row: f"{row['way']}", "<"),
    Column("median", 10, lambda row: f"{row['seconds']:.2f} s"),
    spread(19),
    Column("ms/image", 9, lambda row: f"{1000 * row['seconds'] / row['images']:.1f}"),
    RATIO,
    PEAK,
    Column("time of", 0, lambda row: _percentages(row["shares"]), "<"),
)


def _percentages(shares: dict[str, float] | None) -> str:
    if shares is None:
        return "-"
    return ", ".join(f"{stage} {share:.0%}" for stage, share in shares.items())


def bench_score(
    context: typer.Context,
    model: Model = "spade",
    images: Annotated[
        list[int] | None, typer.Option(min=2, help="[default: 100]. Repeatable.")
    ] = None,
    distinct: Annotated[
        int, typer.Option(min=2, help="Samples of the split that are repeated to that number.")
    ] = 16,
    size: options.ImageSize = "256",
    width: NetworkWidth = 1.0,
    way: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="one pass; one pass, PNG kept; three steps; three steps, dense [default: all; "
            "of several processes the first]. Repeatable.",
        ),
    ] = None,
    dataset: options.Dataset = "scenes",
    data_root: options.DataRoot = None,
    profile: options.Profile = None,
    segmenter: options.Segmenter = None,
    filled_weights: options.FilledWeights = False,
    fid_profile: options.FIDProfile = None,
    repeats: Repeats = 3,
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
            dataset, "default", 0, size, segmenter=segmenter, filled_weights=filled_weights,
            fid_profile=fid_profile, profile=profile, segmenter_steps=1,
        )  # fmt: skip
        rows: list[Row] = []
        for count in images or [100]:
            with tempfile.TemporaryDirectory() as folder:
                place = options.workplace(
                    config, Path(folder), data_root, weights_dir, device, world=world
                )
                rows += timed_scores(config, place, model, width, count, distinct, ways, repeats)
        if world.is_first:
            print_lines("score", print_table(COLUMNS, rows), save)


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


def timed_scores(
    config: "RunConfig",
    place: "Workplace",
    model: str,
    width: float,
    count: int,
    distinct: int,
    ways: "list[Way]",
    repeats: int,
) -> "list[Row]":
    """Time scoring of `count` images by the ways, with the networks of that configuration."""
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
