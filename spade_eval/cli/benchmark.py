# SPDX-License-Identifier: Apache-2.0
"""`spade-eval benchmark` and `score`: measure what is missing, then show the table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spade_eval.cli import comparisons, options, tables
from spade_eval.cli.report import show_report

if TYPE_CHECKING:
    from spade_eval.config import RunConfig
    from spade_eval.models.training.distributed import World
    from spade_eval.workplace import Workplace

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
    context: typer.Context,
    more_baselines: comparisons.MoreBaselines = None,
    dataset: options.Dataset = "scenes",
    data_root: options.DataRoot = None,
    budget: options.BudgetName = "default",
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Model to train and score, or none [default: spade, concat, pix2pixhdpp; with "
            "--table, all of it]. Repeatable."
        ),
    ] = None,
    table: tables.Table = None,
    seeds: tables.Seeds = 1,
    jobs: tables.Jobs = None,
    launcher: tables.Launcher = "local",
    sbatch: tables.Sbatch = None,
    images: Images = None,
    checkpoint: Checkpoints = None,
    compare: comparisons.Compare = None,
    style_input: options.StyleInputs = None,
    arch: options.Arch = None,
    upsampling: options.Upsampling = None,
    label_layout: options.LabelLayout = None,
    size: options.ImageSize = None,
    steps: options.Steps = None,
    batch_size: options.BatchSize = None,
    width: options.Width = None,
    profile: options.Profile = None,
    segmenter: options.Segmenter = None,
    filled_weights: options.FilledWeights = False,
    fid_profile: options.FIDProfile = None,
    reference: options.Reference = None,
    samples: options.Samples = 0,
    synthesis_precision: options.SynthesisPrecision = "float32",
    save_images: options.SaveImages = options.FEW_IMAGES,
    segmenter_steps: options.SegmenterSteps = None,
    limit: options.Limit = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    gpus: options.GPUs = None,
    nodes: options.Nodes = 1,
    rendezvous: options.Rendezvous = None,
    restarts: options.Restarts = 0,
    out: options.Out = None,
    weights_dir: options.WeightsDir = None,
    report: tables.Report = True,
) -> None:
    """Train and score models; prints the table and writes CSV, plots and a picture grid."""
    from spade_eval.config import FIRST_THREE
    from spade_eval.engine import Benchmark
    from spade_eval.jobs.job import REFERENCES
    from spade_eval.rows import Request

    def config_for(name: str, number: int) -> "RunConfig":
        return options.run_config(
            name, budget, number, size, segmenter, filled_weights, fid_profile, samples, profile,
            synthesis_precision, steps=steps, batch_size=batch_size, width=width,
            segmenter_steps=segmenter_steps, val_limit=limit,
        )  # fmt: skip

    def place_for(
        config: "RunConfig", folder: Path | None, world: "World | None" = None
    ) -> "Workplace":
        return options.workplace(
            config, folder, data_root, weights_dir, device, reference, world, save_images
        )

    if table is not None:
        asked = tables.Asked(
            number=table, datasets=tables.datasets_of(dataset), models=tuple(model or ()),
            seeds=range(seed, seed + seeds), jobs=jobs, launcher=launcher,
            sbatch=tuple(sbatch or ()), out=out,
        )  # fmt: skip
        tables.run_table(context, asked, config_for, place_for)
        return
    with options.processes(context, gpus, nodes, rendezvous, restarts, device) as world:
        config = config_for(dataset, seed)
        folders = options.named_paths("--images", images or ())
        checkpoints = options.named_paths("--checkpoint", checkpoint or ())
        given = (*checkpoints, *folders)
        compared = comparisons.comparing(compare, more_baselines, given, model)
        models = compared.models(model, given)
        request = Request(
            FIRST_THREE if models is None else tuple(name for name in models if name != REFERENCES),
            checkpoints,
            folders,
            options.released_options(arch, upsampling, label_layout),
            options.style_inputs(style_input or (), folders),
        )
        place = place_for(config, out, world)
        run = Benchmark(config, place)
        if world.is_first:
            typer.echo("\n".join([*run.protocol.lines(), ""]))
        measured = run.run(request)
        if world.is_first:
            names = ", ".join(measured) or "nothing, all rows were recorded"
            typer.echo(f"measured now: {names}\n")
            if report:
                show_report(place.run_folder)
            comparisons.show_comparison(place.run_folder, compared)


def score(
    context: typer.Context,
    images: Annotated[list[str], typer.Argument(help="NAME=DIR, or NAME=FILE of a checkpoint.")],
    style_input: options.StyleInputs = None,
    arch: options.Arch = None,
    upsampling: options.Upsampling = None,
    label_layout: options.LabelLayout = None,
    dataset: options.Dataset = "scenes",
    data_root: options.DataRoot = None,
    budget: options.BudgetName = "default",
    size: options.ImageSize = None,
    profile: options.Profile = None,
    segmenter: options.Segmenter = None,
    filled_weights: options.FilledWeights = False,
    fid_profile: options.FIDProfile = None,
    reference: options.Reference = None,
    samples: options.Samples = 0,
    synthesis_precision: options.SynthesisPrecision = "float32",
    save_images: options.SaveImages = options.FEW_IMAGES,
    segmenter_steps: options.SegmenterSteps = None,
    limit: options.Limit = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    gpus: options.GPUs = None,
    nodes: options.Nodes = 1,
    rendezvous: options.Rendezvous = None,
    restarts: options.Restarts = 0,
    out: options.Out = None,
    weights_dir: options.WeightsDir = None,
) -> None:
    """Score folders of images or checkpoints; trains no generator."""
    named = options.named_paths("score", images)
    files = [f"{name}={path}" for name, path in named.items() if _is_checkpoint(path)]
    folders = [f"{name}={path}" for name, path in named.items() if not _is_checkpoint(path)]
    benchmark(
        context, dataset=dataset, data_root=data_root, budget=budget, model=[], images=folders,
        checkpoint=files, style_input=style_input, arch=arch, upsampling=upsampling,
        label_layout=label_layout,
        size=size, profile=profile, segmenter=segmenter, filled_weights=filled_weights,
        fid_profile=fid_profile, reference=reference, samples=samples,
        synthesis_precision=synthesis_precision, save_images=save_images,
        segmenter_steps=segmenter_steps, limit=limit, seed=seed,
        device=device, gpus=gpus, nodes=nodes, rendezvous=rendezvous, restarts=restarts, out=out,
        weights_dir=weights_dir,
    )  # fmt: skip


def _is_checkpoint(path: Path) -> bool:
    return path.suffix in (".safetensors", ".pth", ".pt")
