# SPDX-License-Identifier: Apache-2.0
"""`spade-eval bench train`: what a training step takes on this machine."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spade_eval.cli import options
from spade_eval.cli.bench.flags import Model, Save
from spade_eval.cli.bench.lines import Column, print_lines, print_table
from spade_eval.cli.console.output import say
from spade_eval.cli.flags import ChannelsLast, OneSynthesis, Perceptual
from spade_eval.cli.train import TF32, Accumulate, Compile, TrainingPrecision

if TYPE_CHECKING:
    from spade_eval.bench.timing import Row
    from spade_eval.config import RunConfig
    from spade_eval.workplace import Workplace

_MIB = 2**20
_COLUMNS = (
    Column("part", 22, lambda row: f"{row['part']}"),
    Column("ms a step", 10, lambda row: f"{1000 * row['seconds']:.1f}"),
    Column("share", 7, lambda row: f"{row['share']:.1%}"),
    Column("target", 11, lambda row: f"{row['target']}"),
)


def bench_train(
    context: typer.Context,
    model: Model = "spade",
    dataset: options.Dataset = "scenes",
    data_root: options.DataRoot = None,
    budget: options.BudgetName = "default",
    size: options.ImageSize = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps to measure.")] = 10,
    warm_up: Annotated[int, typer.Option(min=0, help="Steps before, not counted.")] = 2,
    batch_size: options.BatchSize = None,
    width: options.Width = None,
    accumulate: Accumulate = None,
    precision: TrainingPrecision = None,
    tf32: TF32 = False,
    channels_last: ChannelsLast = False,
    compile: Compile = False,
    one_synthesis: OneSynthesis = False,
    perceptual: Perceptual = None,
    device: options.Device = "auto",
    gpus: options.GPUs = None,
    weights_dir: options.WeightsDir = None,
    save: Save = None,
) -> None:
    """Steps and images per second, the parts of a step, memory: a table, then one line of JSON."""
    config = options.run_config(
        dataset, budget, 0, size, steps=steps + warm_up, batch_size=batch_size, width=width,
        accumulate=accumulate, precision=None if precision is None else precision.value,
        tf32=tf32 or None, channels_last=channels_last or None, compile=compile or None,
        one_synthesis=one_synthesis or None,
        perceptual=None if perceptual is None else perceptual.value,
    )  # fmt: skip
    with options.processes(context, gpus, 1, None, 0, device) as world:
        place = options.workplace(config, Path("."), data_root, weights_dir, device, world=world)
        row = _timed(model, config, place, warm_up)
        if world.is_first:
            _tell(row, save)


def _timed(model: str, config: "RunConfig", place: "Workplace", warm_up: int) -> "Row":
    """Time steps of a training, with the facts of its configuration beside them."""
    from spade_eval.bench.train import time_training
    from spade_eval.datasets import open_dataset
    from spade_eval.engine import Benchmark
    from spade_eval.errors import as_user_error
    from spade_eval.training.generator import with_store

    train_config, world = Benchmark(config, place).train_config(model), place.world
    split = open_dataset(config.dataset, "train", config.budget.size, place.data_root)
    with tempfile.TemporaryDirectory() as own, as_user_error(f"bench train {model}"):
        stored = with_store(split, Path(world.on_first(lambda: own)))
        row = time_training(train_config, stored, place.device, place.weights_dir, warm_up, world)
    height, width = train_config.size
    return {
        **row,
        "dataset": config.dataset,
        "height": height,
        "width": width,
        "batch": train_config.batch_size,
        "budget": config.budget,
        "perceptual": train_config.perceptual,
    }


def _tell(row: "Row", save: Path | None) -> None:
    say("\n".join(_summary(row)))
    print_table(_COLUMNS, _parts(row))
    say("\n".join(_memory(row)))
    print_lines("train", [row], save)


def _summary(row: "Row") -> list[str]:
    """Rates first, then the median step beside its extremes."""
    steps, seconds = row["steps"], row["seconds"]
    step, fastest, slowest = (1000 * row[name] for name in ("step_seconds", "fastest", "slowest"))
    several = f" in {row['processes']} processes" if row["processes"] > 1 else ""
    return [
        f"{row['model']} on {row['device']}{several}: {steps / seconds:.3g} steps/s, "
        f"{row['images'] / seconds:.3g} images/s ({steps} steps)",
        f"a step: {step:.1f} ms, the median; {fastest:.1f} to {slowest:.1f} ms",
        f"preparation: {row['preparation_seconds']:.2f} s, once before the first step",
    ]


def _parts(row: "Row") -> "list[Row]":
    """The phases of a mean step, forward passes by network, and the rest: averages, bookkeeping."""
    from spade_eval.bench.train import MAX_LOADING_SHARE

    targets = {"data loading": f"at most {MAX_LOADING_SHARE:.0%}"}
    phases, networks = dict(row["phases"]), row["networks"]
    rest = row["seconds"] - sum(phases.values())
    if networks:
        forward = phases.pop("forward")
        own = {f"forward {name}": taken for name, taken in networks.items()}
        phases |= {**own, "losses": forward - sum(networks.values())}
    seconds = {**phases, "rest": rest}
    return [
        {
            "part": part,
            "seconds": taken / row["steps"],
            "share": taken / row["seconds"],
            "target": targets.get(part, "-"),
        }
        for part, taken in seconds.items()
    ]


def _memory(row: "Row") -> list[str]:
    peak, on_cuda = row["peak_bytes"], row["device"].startswith("cuda")
    text = "not known here" if peak is None else f"{peak / _MIB:,.0f} MiB"
    what = "tensors" if on_cuda else "growth of the process"
    lines = [f"peak memory ({what}): {text}", f"estimate: {row['estimate']}"]
    if row["traffic"] is not None:
        lines.append(f"exchanged by each process in a step: {row['traffic']}")
    return lines
