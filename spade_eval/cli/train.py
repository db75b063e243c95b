# SPDX-License-Identifier: Apache-2.0
"""`spade-eval train`: a generator, or a dataset's in-domain segmenter."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spade_eval.cli import options
from spade_eval.cli.benchmark.estimate import Estimate, Rates, show_estimate, tell_before
from spade_eval.cli.console.conditions import ON_GENERATORS, ON_SEGMENTERS, WITH_SCORE_EVERY
from spade_eval.cli.console.output import show, wrote
from spade_eval.cli.console.topics import SCORING, TRAINING
from spade_eval.cli.flags import (
    BudgetFlags,
    PlaceFlags,
    ProcessFlags,
    RunFlags,
    grouped,
    plain,
)
from spade_eval.errors import UserError

if TYPE_CHECKING:
    from spade_eval.config import RunConfig
    from spade_eval.workplace import Workplace


class What(str, Enum):
    """What to train."""

    generator = "generator"
    segmenter = "segmenter"


class Precision(str, Enum):
    """What convolutions and matrix products are computed in."""

    float32 = "float32"
    bf16 = "bf16"
    fp16 = "fp16"


class By(str, Enum):
    """By which score the best weights are chosen."""

    miou = "miou"
    fid = "fid"


Accumulate = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Split each batch into so many parts, one after the other in memory.",
        rich_help_panel=TRAINING,
    ),
    ON_GENERATORS,
]
TrainingPrecision = Annotated[
    Precision | None,
    typer.Option(help="Of the computation [default: float32].", rich_help_panel=TRAINING),
    ON_GENERATORS,
]
TF32 = Annotated[
    bool,
    typer.Option("--tf32", help="Let CUDA multiply in TensorFloat-32.", rich_help_panel=TRAINING),
    ON_GENERATORS,
]
Compile = Annotated[
    bool,
    typer.Option(
        "--compile", help="Compile the networks (torch.compile).", rich_help_panel=TRAINING
    ),
    ON_GENERATORS,
]
ScoreEvery = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Score every so many steps, and keep the best weights as well.",
        rich_help_panel=SCORING,
    ),
    ON_GENERATORS,
]
ScoreImages = Annotated[
    int,
    typer.Option(min=1, help="The first so many val images, for that.", rich_help_panel=SCORING),
    WITH_SCORE_EVERY,
]
Model = Annotated[
    str,
    typer.Option(metavar="NAME", help="Generator to train.", rich_help_panel=TRAINING),
    ON_GENERATORS,
]
InDomain = Annotated[
    str,
    typer.Option(
        "--segmenter",
        metavar="in-domain[-dilated|-pyramid]",
        help="In-domain segmenter to train.",
        rich_help_panel=TRAINING,
    ),
    ON_SEGMENTERS,
]
ScoreBy = Annotated[
    By,
    typer.Option(
        help="Which weights are the best: of the highest mIoU, or of the lowest FID.",
        rich_help_panel=SCORING,
    ),
    WITH_SCORE_EVERY,
]


@dataclass(frozen=True, kw_only=True)
class TrainingFlags:
    """How a generator is trained; names are those of the budget's fields."""

    accumulate: Accumulate = None
    precision: TrainingPrecision = None
    tf32: TF32 = False
    compile: Compile = False

    def changes(self) -> dict[str, Any]:
        """Return what may differ from the budget."""
        return plain(self)


@grouped
def train(
    context: typer.Context,
    *,
    what: Annotated[What, typer.Argument(help="generator or segmenter.")] = What.generator,
    model: Model = "spade",
    run: RunFlags,
    budget: BudgetFlags,
    training: TrainingFlags,
    score_every: ScoreEvery = None,
    score_images: ScoreImages = 50,
    score_by: ScoreBy = By.miou,
    segmenter: InDomain = "in-domain",
    tracker: Annotated[options.Trackers, ON_GENERATORS] = None,
    estimate: Estimate = False,
    rates: Rates = None,
    place: PlaceFlags,
    processes: ProcessFlags,
) -> None:
    """Train; started again, continues where it was stopped. Prints the checkpoint's path."""
    if what is What.segmenter:
        _train_segmenter(segmenter, run, budget, place, processes)
        return
    from spade_eval.engine import Benchmark

    config = options.run_config(**vars(run), **budget.changes(), **training.changes())
    if estimate:
        suite = Benchmark(config, options.workplace(config, **vars(place)))
        devices = (processes.gpus or 1) * processes.nodes
        show_estimate(suite, [model], devices, rates, scores=False)
        return
    with options.processes(context, device=place.device, **vars(processes)) as world:
        workplace = options.workplace(config, **vars(place), world=world, tracker=tracker)
        suite = Benchmark(config, workplace)
        tell_before(suite, [model], world, scores=False)
        checkpoint = suite.train(model, score_every, score_images, score_by.value)
        if world.is_first:
            show(checkpoint, checkpoint=checkpoint)
            wrote([checkpoint])


def _train_segmenter(
    name: str, run: RunFlags, budget: BudgetFlags, place: PlaceFlags, processes: ProcessFlags
) -> None:
    if processes.gpus is not None:
        raise UserError(
            f"--gpus {processes.gpus}: the in-domain segmenter is small and trains in one process; "
            "leave --gpus out"
        )
    config = options.run_config(
        **vars(run), segmenter_steps=budget.steps, segmenter_batch_size=budget.batch_size
    )
    workplace = options.workplace(config, **vars(place))
    _train_and_show(name, config, workplace, place.out or workplace.weights_dir)


def _train_and_show(name: str, config: "RunConfig", place: "Workplace", folder: Path) -> None:
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
    settings = segmenter_config(config.dataset, config.budget, train_splits, name)
    path = train_segmenter(settings, train_splits, folder, place.device)
    wrote([path])
    show(path, checkpoint=path)
    measured = []
    for split in val_splits:
        scores = real_scores(path, split, place.device)
        height, width = split.size
        measured.append({"num_images": len(split), "height": height, "width": width, **scores})
        show(
            f"on the {len(split)} real val photos of {height}x{width}: "
            f"mIoU {100 * scores['miou']:.2f}%, pixel accuracy {100 * scores['acc_valid']:.2f}%",
            real=measured,
        )
