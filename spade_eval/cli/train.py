# SPDX-License-Identifier: Apache-2.0
"""`spade-eval train`: a generator, or a dataset's in-domain segmenter."""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spade_eval.cli import options
from spade_eval.errors import UserError

if TYPE_CHECKING:
    from spade_eval.config import RunConfig
    from spade_eval.workplace import Workplace


class What(str, Enum):
    """What to train."""

    generator = "generator"
    segmenter = "segmenter"


class Settings(str, Enum):
    """Whose numbers a generator is trained with."""

    paper = "paper"
    release = "release"


class Precision(str, Enum):
    """What convolutions and matrix products are computed in."""

    float32 = "float32"
    bf16 = "bf16"
    fp16 = "fp16"


TrainingSettings = Annotated[
    Settings | None,
    typer.Option(help="Optimizers, initialisation and losses as printed, or as published code."),
]
Accumulate = Annotated[
    int | None,
    typer.Option(min=1, help="Split each batch into so many parts, one after the other in memory."),
]
TrainingPrecision = Annotated[Precision | None, typer.Option(help="Default: float32.")]
EMA = Annotated[
    float | None,
    typer.Option("--ema", min=0.0, max=1.0, help="Keep and score an average of the weights."),
]
TF32 = Annotated[bool, typer.Option("--tf32", help="Let CUDA multiply in TensorFloat-32.")]
ChannelsLast = Annotated[
    bool, typer.Option("--channels-last", help="Another order in memory, faster on many devices.")
]
Compile = Annotated[bool, typer.Option("--compile", help="Compile the networks (torch.compile).")]
ScoreEvery = Annotated[
    int | None,
    typer.Option(min=1, help="Score every so many steps, and keep the best weights as well."),
]
ScoreImages = Annotated[int, typer.Option(min=1, help="The first so many val images, for that.")]


def train(
    context: typer.Context,
    what: Annotated[What, typer.Argument(help="generator or segmenter.")] = What.generator,
    model: Annotated[str, typer.Option(help="Generator to train.")] = "spade",
    dataset: options.Dataset = "scenes",
    data_root: options.DataRoot = None,
    budget: options.BudgetName = "default",
    size: options.ImageSize = None,
    steps: options.Steps = None,
    batch_size: options.BatchSize = None,
    width: options.Width = None,
    settings: TrainingSettings = None,
    accumulate: Accumulate = None,
    precision: TrainingPrecision = None,
    ema: EMA = None,
    tf32: TF32 = False,
    channels_last: ChannelsLast = False,
    compile: Compile = False,
    score_every: ScoreEvery = None,
    score_images: ScoreImages = 50,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    gpus: options.GPUs = None,
    nodes: options.Nodes = 1,
    rendezvous: options.Rendezvous = None,
    restarts: options.Restarts = 0,
    out: options.Out = None,
    weights_dir: options.WeightsDir = None,
) -> None:
    """Train; started again, continues where it was stopped. Prints the checkpoint's path."""
    if what is What.segmenter:
        if gpus is not None:
            raise UserError(
                f"--gpus {gpus}: the in-domain segmenter is small and trains in one process; "
                "leave --gpus out"
            )
        config = options.run_config(
            dataset, budget, seed, size, segmenter_steps=steps, segmenter_batch_size=batch_size
        )
        place = options.workplace(config, out, data_root, weights_dir, device)
        _train_segmenter(config, place, out or place.weights_dir)
        return
    from spade_eval.engine import Benchmark

    config = options.run_config(
        dataset, budget, seed, size, steps=steps, batch_size=batch_size, width=width,
        settings=None if settings is None else settings.value,
        precision=None if precision is None else precision.value,
        accumulate=accumulate, ema_decay=ema, tf32=tf32 or None,
        channels_last=channels_last or None, compile=compile or None,
    )  # fmt: skip
    with options.processes(context, gpus, nodes, rendezvous, restarts, device) as world:
        place = options.workplace(config, out, data_root, weights_dir, device, world=world)
        checkpoint = Benchmark(config, place).train(model, score_every, score_images)
        if world.is_first:
            typer.echo(checkpoint)


def _train_segmenter(config: "RunConfig", place: "Workplace", folder: Path) -> None:
    from spade_eval.datasets import open_dataset
    from spade_eval.scoring.in_domain import (
        SHIPPED_SIZES,
        real_scores,
        segmenter_config,
        train_segmenter,
    )

    sizes = SHIPPED_SIZES.get(config.dataset, (config.budget.size,))
    train_splits, val_splits = (
        [open_dataset(config.dataset, split, size, place.data_root) for size in sizes]
        for split in ("train", "val")
    )
    settings = segmenter_config(config.dataset, config.budget, train_splits)
    path = train_segmenter(settings, train_splits, folder, place.device)
    typer.echo(path)
    for split in val_splits:
        scores = real_scores(path, split, place.device)
        height, width = split.size
        typer.echo(
            f"on the {len(split)} real val photos of {height}x{width}: "
            f"mIoU {100 * scores['miou']:.2f}%, pixel accuracy {100 * scores['acc_valid']:.2f}%"
        )
