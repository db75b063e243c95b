# SPDX-License-Identifier: Apache-2.0
"""`spade-eval benchmark` and `score`: measure what is missing, then show the table."""

from pathlib import Path
from typing import Annotated

import typer

from spade_eval.cli import options
from spade_eval.cli.report import show_report

Images = Annotated[
    list[str] | None,
    typer.Option(help="NAME=DIR: score a folder of images named as the val set. Repeatable."),
]
Checkpoints = Annotated[
    list[str] | None,
    typer.Option(
        "--checkpoint",
        help="NAME=FILE: score a checkpoint, ours or a released *_net_G.pth. Repeatable.",
    ),
]


def benchmark(
    dataset: options.Dataset = "scenes",
    data_root: options.DataRoot = None,
    budget: options.BudgetName = "default",
    model: Annotated[
        list[str] | None,
        typer.Option(help="Model to train and score [default: spade, concat, pix2pixhdpp]."),
    ] = None,
    images: Images = None,
    checkpoint: Checkpoints = None,
    arch: options.Arch = None,
    upsampling: options.Upsampling = None,
    label_layout: options.LabelLayout = None,
    size: options.ImageSize = None,
    steps: options.Steps = None,
    batch_size: options.BatchSize = None,
    width: options.Width = None,
    segmenter: options.Segmenter = "in-domain",
    filled_weights: options.FilledWeights = False,
    fid_profile: options.FIDProfile = "pytorch-fid",
    reference: options.Reference = None,
    samples: options.Samples = 0,
    segmenter_steps: options.SegmenterSteps = None,
    limit: options.Limit = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    out: options.Out = None,
    weights_dir: options.WeightsDir = None,
) -> None:
    """Train and score models; prints the table and writes CSV, plots and a picture grid."""
    from spade_eval.config import FIRST_THREE
    from spade_eval.engine import Benchmark
    from spade_eval.rows import Request

    config = options.run_config(
        dataset, budget, seed, size, segmenter, filled_weights, fid_profile, samples,
        steps=steps, batch_size=batch_size, width=width, segmenter_steps=segmenter_steps,
        val_limit=limit,
    )  # fmt: skip
    request = Request(
        FIRST_THREE if model is None else tuple(model),
        options.named_paths("--checkpoint", checkpoint or ()),
        options.named_paths("--images", images or ()),
        options.released_options(arch, upsampling, label_layout),
    )
    place = options.workplace(config, out, data_root, weights_dir, device, reference)
    measured = Benchmark(config, place).run(request)
    typer.echo(f"measured now: {', '.join(measured) or 'nothing, all rows were recorded'}\n")
    show_report(place.run_folder)


def score(
    images: Annotated[list[str], typer.Argument(help="NAME=DIR, or NAME=FILE of a checkpoint.")],
    arch: options.Arch = None,
    upsampling: options.Upsampling = None,
    label_layout: options.LabelLayout = None,
    dataset: options.Dataset = "scenes",
    data_root: options.DataRoot = None,
    budget: options.BudgetName = "default",
    size: options.ImageSize = None,
    segmenter: options.Segmenter = "in-domain",
    filled_weights: options.FilledWeights = False,
    fid_profile: options.FIDProfile = "pytorch-fid",
    reference: options.Reference = None,
    samples: options.Samples = 0,
    segmenter_steps: options.SegmenterSteps = None,
    limit: options.Limit = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    out: options.Out = None,
    weights_dir: options.WeightsDir = None,
) -> None:
    """Score folders of images or checkpoints; trains no generator."""
    named = options.named_paths("score", images)
    files = [f"{name}={path}" for name, path in named.items() if _is_checkpoint(path)]
    folders = [f"{name}={path}" for name, path in named.items() if not _is_checkpoint(path)]
    benchmark(
        dataset=dataset, data_root=data_root, budget=budget, model=[], images=folders,
        checkpoint=files, arch=arch, upsampling=upsampling, label_layout=label_layout,
        size=size, segmenter=segmenter, filled_weights=filled_weights,
        fid_profile=fid_profile, reference=reference, samples=samples,
        segmenter_steps=segmenter_steps, limit=limit, seed=seed,
        device=device, out=out, weights_dir=weights_dir,
    )  # fmt: skip


def _is_checkpoint(path: Path) -> bool:
    return path.suffix in (".safetensors", ".pth", ".pt")
