# SPDX-License-Identifier: Apache-2.0
"""`spade-eval bench train`: what a training step takes on this machine."""

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spade_eval.cli import options
from spade_eval.cli.bench.lines import Save, print_lines
from spade_eval.cli.train import (
    TF32,
    Accumulate,
    ChannelsLast,
    Compile,
    TrainingPrecision,
)

if TYPE_CHECKING:
    from spade_eval.bench.train import TrainTiming

_MIB = 2**20


def bench_train(
    model: Annotated[str, typer.Option(help="Generator to train.")] = "spade",
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
    device: options.Device = "auto",
    weights_dir: options.WeightsDir = None,
    save: Save = None,
) -> None:
    """Steps and images per second, the parts of a step, memory: a table, then one line of JSON."""
    from spade_eval.bench.train import time_training
    from spade_eval.datasets import open_dataset
    from spade_eval.engine import Benchmark
    from spade_eval.errors import as_user_error
    from spade_eval.training.generator import with_store

    config = options.run_config(
        dataset, budget, 0, size, steps=steps + warm_up, batch_size=batch_size, width=width,
        accumulate=accumulate, precision=None if precision is None else precision.value,
        tf32=tf32 or None, channels_last=channels_last or None, compile=compile or None,
    )  # fmt: skip
    place = options.workplace(config, Path("."), data_root, weights_dir, device)
    train_config = Benchmark(config, place).train_config(model)
    split = open_dataset(dataset, "train", config.budget.size, place.data_root)
    with tempfile.TemporaryDirectory() as folder, as_user_error(f"bench train {model}"):
        stored = with_store(split, Path(folder))
        timing = time_training(train_config, stored, place.device, place.weights_dir, warm_up)
    typer.echo("\n".join(_table(timing)))
    height, width_pixels = train_config.size
    line = {
        **dataclasses.asdict(timing),
        "dataset": dataset,
        "height": height,
        "width": width_pixels,
        "batch": train_config.batch_size,
        "budget": dataclasses.asdict(config.budget),
    }
    print_lines("train", [line], save)


def _table(timing: "TrainTiming") -> list[str]:
    from spade_eval.bench.train import MAX_LOADING_SHARE

    lines = [
        f"{timing.model} on {timing.device}: {timing.steps_per_second:.3g} steps/s, "
        f"{timing.images_per_second:.3g} images/s ({timing.steps} steps)",
        f"{'a step':>14} {1000 * timing.step_seconds:>10.1f} ms, the median; "
        f"{1000 * timing.fastest:.1f} to {1000 * timing.slowest:.1f} ms",
    ]
    for phase, seconds in timing.phases.items():
        target = f"  (target: at most {MAX_LOADING_SHARE:.0%})" if phase == "data loading" else ""
        milliseconds = 1000 * seconds / timing.steps
        lines.append(f"{phase:>14} {milliseconds:>10.1f} ms {timing.share(phase):>7.1%}{target}")
    lines.append(
        f"{'preparation':>14} {timing.preparation_seconds:>10.2f} s, once before the first step"
    )
    rest = 1 - sum(map(timing.share, timing.phases))
    lines.append(
        f"{'rest':>14} {1000 * rest * timing.seconds / timing.steps:>10.1f} ms {rest:>7.1%}"
    )
    peak = "not known here" if timing.peak_bytes is None else f"{timing.peak_bytes / _MIB:,.0f} MiB"
    what = "tensors" if timing.device.startswith("cuda") else "growth of the process"
    lines += [f"peak memory ({what}): {peak}", f"estimate: {timing.estimate}"]
    return lines
