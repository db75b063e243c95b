# SPDX-License-Identifier: Apache-2.0
"""What a run will take, said before it starts: hours, devices, memory, disk.

With `--estimate` nothing else is done. A budget of the paper's epochs says it unasked.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spade_eval.cli import options
from spade_eval.cli.console.conditions import ON_GENERATORS, WITH_ESTIMATE
from spade_eval.cli.console.output import say, show
from spade_eval.cli.console.paths import checked
from spade_eval.cli.console.topics import TRAINING
from spade_eval.errors import UserError

if TYPE_CHECKING:
    from spade_eval.bench.estimate import Rate, TimeEstimate
    from spade_eval.bench.timing import Row
    from spade_eval.config import RunConfig, TrainConfig
    from spade_eval.engine import Benchmark
    from spade_eval.models.training.distributed import World

_MIB, _GIB = 2**20, 2**30
_GPU_COUNTS = (1, 2, 4, 8)
_SCORED_BATCHES = 2

Estimate = Annotated[
    bool,
    typer.Option(
        "--estimate",
        help="Say how many hours and how much disk it will take, from a few steps that are "
        "measured and thrown away, and do nothing else.",
        rich_help_panel=TRAINING,
    ),
    ON_GENERATORS,
]
Rates = Annotated[
    Path | None,
    typer.Option(
        "--rates",
        metavar="FILE",
        help="Lines of `spade-eval bench train --save FILE`, of another machine for example, "
        "instead of measuring now.",
        rich_help_panel=TRAINING,
        callback=checked("file"),
    ),
    WITH_ESTIMATE,
]


def is_told(config: "RunConfig") -> bool:
    """Return whether a run is so long that its estimate is said unasked."""
    return config.budget_name == "paper" and config.budget.steps is None


def tell_before(suite: "Benchmark", models: Sequence[str], world: "World", *, scores: bool) -> None:
    """Say the estimate of what is still to be trained, if the run is such a long one."""
    if not is_told(suite.config):
        return
    missing = [model for model in models if not _is_trained(suite, model)]
    if missing:
        told = world.on_first(lambda: _estimated(suite, missing, world.size, None, scores))
        if world.is_first:
            say("\n".join([*told[0], ""]))


def show_estimate(
    suite: "Benchmark", models: Sequence[str], devices: int, rates: Path | None, *, scores: bool
) -> None:
    """Print the estimate of a run, whatever of it is there already."""
    lines, rows = _estimated(suite, models, devices, rates, scores)
    show("\n".join(lines), rows=rows)


def _is_trained(suite: "Benchmark", model: str) -> bool:
    from spade_eval.training.generator import CHECKPOINT_NAME

    return (suite.training_folder(suite.train_config(model)) / CHECKPOINT_NAME).is_file()


def _estimated(
    suite: "Benchmark", models: Sequence[str], devices: int, rates: Path | None, scores: bool
) -> "tuple[list[str], list[Row]]":
    """Return what is printed, and the same as rows."""
    if not models:
        raise UserError("--estimate: this run trains no model; name one with --model or --train")
    lines: list[str] = []
    rows: list[Row] = []
    for model in models:
        config = suite.train_config(model)
        row = _of_training(suite, config, devices, rates)
        rows.append(row)
        lines += _training_lines(config, row)
    if scores:
        row = _of_scoring(suite, models)
        rows.append(row)
        lines += _scoring_lines(row)
    return lines, rows


def _of_training(
    suite: "Benchmark", config: "TrainConfig", devices: int, rates: Path | None
) -> "Row":
    from spade_eval.bench.estimate import estimate_time
    from spade_eval.training.disk_estimate import estimate_disk
    from spade_eval.training.memory_estimate import estimate_memory
    from spade_eval.training.setup import data_of

    rate = _rate(suite, config, devices, rates)
    counts: tuple[int, ...] = (devices,)
    if suite.place.device.type == "cuda" or rates is not None:
        counts = tuple(n for n in _GPU_COUNTS if config.batch_size // config.accumulate % n == 0)
    times = [estimate_time(config, rate, count) for count in sorted({devices, *counts})]
    data, images = data_of(config, suite.train_split), times[0].images
    disk = estimate_disk(config, data)
    return {
        "row": config.model,
        "steps": config.steps,
        "batch": config.batch_size,
        "times": times,
        "measured": f"{rate.origin}, of {rate.measured} images",
        "memory_bytes": estimate_memory(config, data, images).total,
        "disk_bytes": disk.at_the_end,
        "disk_peak_bytes": disk.peak,
        "network_bytes": disk.exported,
    }


def _rate(suite: "Benchmark", config: "TrainConfig", devices: int, rates: Path | None) -> "Rate":
    from spade_eval.bench.estimate import kept_rate, measured_rate
    from spade_eval.errors import as_user_error
    from spade_eval.training.generator import with_store

    if rates is None:
        place = suite.place
        with tempfile.TemporaryDirectory() as folder, as_user_error(f"{config.model}, measured"):
            split = with_store(suite.train_split, Path(folder))
            return measured_rate(config, split, place.device, place.weights_dir, devices)
    from spade_eval.reports.bench.lines import read_bench_lines

    known: list[dict[str, Any]] = read_bench_lines([rates]).to_dict("records")  # type: ignore[assignment]
    found = kept_rate(config, known, f"lines of {rates}")
    if found is None:
        raise UserError(
            f"--rates {rates}: no line of `bench train` there measured {config.model} at "
            f"{config.size[0]}x{config.size[1]} as this run computes it (width, precision, "
            "perceptual loss, memory format, compilation); measure it there with `spade-eval bench "
            "train --save FILE` and the flags of this run, or leave --rates out"
        )
    return found


def _training_lines(config: "TrainConfig", row: "Row") -> list[str]:
    height, width = config.size
    epochs = f"{row['steps']:,} steps of {row['batch']} images at {height}x{width}"
    times: list[TimeEstimate] = row["times"]
    told = [
        f"  {item.devices} device{'s' * (item.devices > 1)}: {_hours(item)}"
        + f", {item.images} images each" * (len(times) > 1)
        + " (in proportion)" * item.in_proportion
        for item in times
    ]
    exchange = ", without what devices exchange" if times[-1].devices > 1 else ""
    return [
        f"estimate for {config.model} on {config.dataset}: {epochs}",
        *told,
        f"  from {row['measured']}{exchange}",
        f"  memory: about {_bytes(row['memory_bytes'])} of tensors on a device, counted, without "
        "workspaces",
        f"  disk: {_bytes(row['disk_bytes'])} stay ({_bytes(row['network_bytes'])} of networks, "
        f"two states), up to {_bytes(row['disk_peak_bytes'])} on the way",
    ]


def _hours(item: "TimeEstimate") -> str:
    ends = [f"{hours:,.0f}" if hours >= 100 else f"{hours:.2g}"
            for hours in (item.low_hours, item.high_hours)]  # fmt: skip
    days = item.high_hours / 24
    return f"{' to '.join(dict.fromkeys(ends))} h" + f" (up to {days:,.1f} days)" * (days > 2)


def _bytes(count: int) -> str:
    return f"{count / _GIB:.1f} GiB" if count >= _GIB else f"{count / _MIB:.0f} MiB"


def _of_scoring(suite: "Benchmark", models: Sequence[str]) -> "Row":
    """Measure two batches of scoring, with networks that nobody has trained yet."""
    from spade_eval.bench.score import WAYS
    from spade_eval.cli.bench.score import timed_scores

    config, place = suite.config, suite.place
    count = _SCORED_BATCHES * suite.protocol.batch_size
    seconds, steps = _of_segmenter(suite)
    with tempfile.TemporaryDirectory() as folder:
        measured = _with_short_segmenter(config)
        weights = _with_same_files(place.weights_dir, Path(folder) / "weights")
        elsewhere = options.workplace(
            measured, Path(folder) / "run", place.data_root, weights, str(place.device)
        )
        (scored,) = timed_scores(
            measured, elsewhere, models[0], config.budget.width, count, count, [WAYS[0]], 1
        )
    height, width = config.budget.size
    kept = suite.kept.number * len(models) * 3 * height * width
    return {
        "row": "scoring",
        "num_images": suite.count,
        "hours_a_row": scored["seconds"] / count * suite.count / 3600,
        "measured": f"{count} images of {models[0]}, scored now by {scored['segmenter']}",
        "segmenter_steps": steps,
        "segmenter_hours": seconds * steps / 3600,
        "disk_bytes": kept + len(models) * _feature_bytes(suite),
    }


def _feature_bytes(suite: "Benchmark") -> int:
    """Count the features that stay of a row, and of the photos: 2048 float32 an image, at most."""
    return 2 * suite.count * 2048 * 4


def _of_segmenter(suite: "Benchmark") -> tuple[float, int]:
    """Return seconds a step and steps of an in-domain segmenter that has yet to be trained."""
    from spade_eval.bench.estimate import segmenter_seconds
    from spade_eval.protocol import is_in_domain
    from spade_eval.scoring.in_domain import segmenter_config, segmenter_path, shipped

    name, place = suite.protocol.segmenter, suite.place
    if not is_in_domain(name) or shipped(suite.dataset, name) is not None:
        return 0.0, 0
    splits = [suite.train_split]
    settings = segmenter_config(suite.config.dataset, suite.config.budget, splits, name)
    if segmenter_path(settings, place.weights_dir).is_file():
        return 0.0, 0
    return segmenter_seconds(settings, splits, place.device), settings.steps


def _with_short_segmenter(config: "RunConfig") -> "RunConfig":
    """A segmenter that nobody has trained yet takes as long as a trained one."""
    from dataclasses import replace

    return replace(config, budget=replace(config.budget, segmenter_steps=1))


def _with_same_files(folder: Path, copy: Path) -> Path:
    """Make a folder of links to the weights, in which a segmenter of one step does no harm."""
    copy.mkdir()
    for item in folder.iterdir() if folder.is_dir() else ():
        (copy / item.name).symlink_to(item.resolve())
    return copy


def _scoring_lines(row: "Row") -> list[str]:
    told = [
        f"estimate for scoring: {row['hours_a_row']:.2g} h a row of {row['num_images']:,} images",
        f"  from {row['measured']}",
        f"  disk: about {_bytes(row['disk_bytes'])} at most, of images that are kept and features",
    ]
    if row["segmenter_steps"]:
        told.append(
            f"  before: {row['segmenter_hours']:.2g} h for the in-domain segmenter "
            f"({row['segmenter_steps']:,} steps, from a few taken now)"
        )
    return told
