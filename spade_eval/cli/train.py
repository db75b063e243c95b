# SPDX-License-Identifier: Apache-2.0
"""`spade-eval train`: a generator, or a dataset's in-domain segmenter."""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spade_eval.cli import options

if TYPE_CHECKING:
    from spade_eval.config import RunConfig
    from spade_eval.rows import Workplace


class What(str, Enum):
    """What to train."""

    generator = "generator"
    segmenter = "segmenter"


def train(
    what: Annotated[What, typer.Argument(help="generator or segmenter.")] = What.generator,
    model: Annotated[str, typer.Option(help="Generator to train.")] = "spade",
    dataset: options.Dataset = "scenes",
    data_root: options.DataRoot = None,
    budget: options.BudgetName = "default",
    size: options.ImageSize = None,
    steps: options.Steps = None,
    batch_size: options.BatchSize = None,
    width: options.Width = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    out: options.Out = None,
    weights_dir: options.WeightsDir = None,
) -> None:
    """Train; started again, continues where it was stopped. Prints the checkpoint's path."""
    if what is What.segmenter:
        config = options.run_config(
            dataset, budget, seed, size, segmenter_steps=steps, segmenter_batch_size=batch_size
        )
        place = options.workplace(config, out, data_root, weights_dir, device)
        _train_segmenter(config, place, out or place.weights_dir)
        return
    from spade_eval.engine import Benchmark

    config = options.run_config(
        dataset, budget, seed, size, steps=steps, batch_size=batch_size, width=width
    )
    place = options.workplace(config, out, data_root, weights_dir, device)
    typer.echo(Benchmark(config, place).train(model))


def _train_segmenter(config: "RunConfig", place: "Workplace", folder: Path) -> None:
    from spade_eval.datasets import open_dataset
    from spade_eval.train_segmenter import (
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
