# SPDX-License-Identifier: Apache-2.0
"""Single flags that commands share, and what flags mean together."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spade_eval.cli.console.conditions import ON_GENERATORS, WITH_FILES, WITH_MAPS
from spade_eval.cli.console.output import current
from spade_eval.cli.console.paths import Kind, checked, require
from spade_eval.cli.console.surroundings import with_home
from spade_eval.cli.console.topics import DATA, PLACE, PROCESSES, SCORING, TRAINING
from spade_eval.errors import UserError
from spade_eval.files import require_folder_name

if TYPE_CHECKING:
    from spade_eval.config import RunConfig
    from spade_eval.models.choices import StyleInput
    from spade_eval.models.training.distributed import World
    from spade_eval.sources.checkpoints import ReleasedOptions
    from spade_eval.workplace import Workplace

FEW_IMAGES = "16"  # as many as `Workplace` keeps, which would import torch

Dataset = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        rich_help_panel=DATA,
        help="scenes (embedded), cocostuff, ade20k, ade20k_outdoor, cityscapes, "
        "flickr_landscapes, or folder (your own).",
    ),
]
DataRootOfAny = Annotated[
    Path | None,
    typer.Option(
        "--data-root",
        metavar="DIR",
        help="Folder of the dataset's files [default: $SPADE_EVAL_DATA, else data/].",
        rich_help_panel=DATA,
        callback=checked("folder"),
    ),
]
DataRoot = Annotated[DataRootOfAny, WITH_FILES]
Maps = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder of 8-bit label maps (PNG).",
        rich_help_panel=DATA,
        callback=checked("folder"),
    ),
]
Instances = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder of instance maps of the same file names.",
        rich_help_panel=DATA,
        callback=checked("folder"),
    ),
    WITH_MAPS,
]
BudgetName = Annotated[
    str,
    typer.Option(
        "--budget",
        metavar="smoke|default|miniature|large|paper",
        help="Size, steps, batch and width together.",
        rich_help_panel=TRAINING,
    ),
]
ImageSize = Annotated[
    str | None,
    typer.Option(metavar="N|HxW", help="Pixels, instead of the budget's.", rich_help_panel=DATA),
]
BatchSize = Annotated[
    int | None, typer.Option(min=1, help="Instead of the budget's.", rich_help_panel=TRAINING)
]
Width = Annotated[
    float | None,
    typer.Option(
        min=0.01,
        help="Network width; 1 is the paper's number of channels.",
        rich_help_panel=TRAINING,
    ),
    ON_GENERATORS,
]
Profile = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        rich_help_panel=SCORING,
        help="How images are scored: in-domain (the default), spade-paper, spade-paper-a, "
        "spade-paper-b, oasis, imaginaire, modern, or of a paper of 2022 to 2026: freestylenet "
        "(place), aldm, controlnet-plus-plus, ctrl-u, controlar, seg2any, scdm; see "
        "`spade-eval protocol`.",
    ),
]
_SEGMENTERS = (
    "Instead of the profile's: in-domain[-dilated|-pyramid], deeplab-v2, "
    "upernet101[-baseline][-single], drn-d-105[-ms], mask2former-swin-l, deeplab-v3-r101, "
    "mmseg:CONFIG[:CHECKPOINT], hf:NAME. One of a paper alone, with profile modern."
)
Segmenter = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        rich_help_panel=SCORING,
        help=_SEGMENTERS,
    ),
]
Segmenters = Annotated[
    list[str] | None,
    typer.Option(
        "--segmenter",
        metavar="NAME",
        rich_help_panel=SCORING,
        help=f"{_SEGMENTERS} Repeatable: each looks at the same images, in a table of its own.",
    ),
]
FIDProfile = Annotated[
    str | None,
    typer.Option(
        "--fid-profile",
        metavar="NAME",
        rich_help_panel=SCORING,
        help="Instead of the profile's: pytorch-fid, pytorch-fid-256, clean-fid, torch-fidelity, "
        "legacy-2019a, legacy-2018, oasis-train or none.",
    ),
]
Damage = Annotated[
    str | None,
    typer.Option(
        metavar="ds|edge|random",
        help="Give generators damaged label maps, as SCDM, and score against the clean ones.",
        rich_help_panel=SCORING,
    ),
]
Masks = Annotated[
    str | None,
    typer.Option(
        metavar="large|few",
        help="Give generators the masks of at least 5% of an image alone, all or one to three of "
        "them, and score on these.",
        rich_help_panel=SCORING,
    ),
]
FilledWeights = Annotated[
    bool,
    typer.Option(
        help="Try the chain with noise for the segmenter's weights; scores mean nothing.",
        rich_help_panel=SCORING,
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        min=0,
        help="Of initialisation, data order and augmentation.",
        rich_help_panel=TRAINING,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        metavar="auto|cpu|cuda|cuda:N", help="Where it is computed.", rich_help_panel=PLACE
    ),
]
WeightsDir = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder of downloaded weights [default: ~/.cache/spade_eval/weights].",
        rich_help_panel=PLACE,
        callback=checked("folder"),
    ),
]
Trackers = Annotated[
    list[str] | None,
    typer.Option(
        "--tracker",
        metavar="tensorboard|wandb|mlflow",
        help="Who is told losses, gradient norms, scores and pictures of a training [default: "
        "tensorboard]; wandb and mlflow write files, unless your environment names a server. "
        "Repeatable.",
        rich_help_panel=TRAINING,
    ),
]
GPUs = Annotated[
    int | None,
    typer.Option(
        "--gpus",
        min=1,
        rich_help_panel=PROCESSES,
        help="Processes on this machine, one for each GPU; with --device cpu, so many on the CPU.",
    ),
]


def data_root_or_default(given: Path | None) -> Path:
    """Return `--data-root`, else $SPADE_EVAL_DATA, else data/."""
    folder = given or Path(with_home(os.environ.get("SPADE_EVAL_DATA") or "data"))
    require("--data-root", folder, "folder")
    return folder


def weights_dir_or_default(given: Path | None) -> Path:
    """Return `--weights-dir`, else the cache of this user."""
    from spade_eval.weights import DEFAULT_WEIGHTS_DIR

    try:
        folder = (given or DEFAULT_WEIGHTS_DIR).expanduser()
    except RuntimeError as error:
        raise UserError(
            "no home folder is known, where downloaded weights lie; set HOME, or name their folder "
            "with --weights-dir"
        ) from error
    require("--weights-dir", folder, "folder")
    return folder


def run_config(dataset: str, budget: str, seed: int, size: str | None, **flags: Any) -> "RunConfig":
    """Return the configuration that flags describe, as `spade_eval.api.settings.configured`."""
    from spade_eval.api.settings import configured

    pixels = None if size is None else parse_size(size)
    return configured(dataset, budget, seed, pixels, **flags)


def red_team_segmenters(
    segmenter: Sequence[str] | None = None, profile: str | None = None, **_: Any
) -> Sequence[str]:
    """Return the segmenters that a red team meets: in-domain ones, all unless some are given."""
    from spade_eval.protocol import IN_DOMAIN, is_in_domain
    from spade_eval.scoring.in_domain import ARCHITECTURES

    names = list(segmenter or ARCHITECTURES)
    foreign = [name for name in names if not is_in_domain(name)]
    if foreign or profile not in (None, IN_DOMAIN):
        raise UserError(
            f"--red-team with {foreign[0] if foreign else profile}: its rows deceive an in-domain "
            f"segmenter; leave --profile out and expect one of {', '.join(ARCHITECTURES)}"
        )
    return names


def workplace(
    config: "RunConfig",
    out: Path | None,
    data_root: Path | None,
    weights_dir: Path | None,
    device: str,
    reference: Path | None = None,
    world: "World | None" = None,
    save_images: str = FEW_IMAGES,
    tracker: Sequence[str] | None = None,
) -> "Workplace":
    """Return where a run of that configuration happens."""
    from spade_eval.devices import resolve_device
    from spade_eval.models.training.distributed import ALONE
    from spade_eval.training.trackers import require_trackers
    from spade_eval.workplace import Workplace

    world, run_folder = world or ALONE, out or Path("runs") / config.run_name
    require("--out", run_folder, "folder", written=True)
    return Workplace(
        run_folder=run_folder,
        data_root=data_root_or_default(data_root),
        weights_dir=weights_dir_or_default(weights_dir),
        device=resolve_device(device, world),
        reference=reference,
        save_images=number_of_images(save_images),
        trackers=require_trackers(tracker),
        world=world,
    )


@contextmanager
def processes(
    context: typer.Context,
    gpus: int | None,
    nodes: int,
    rendezvous: str | None,
    restarts: int,
    device: str,
) -> "Iterator[World]":
    """Join the processes of this command; where it is to start them, it ends with them."""
    from spade_eval.jobs.processes import Plan, joined, launch, starts_others

    plan = Plan(gpus=gpus, nodes=nodes, rendezvous=rendezvous, restarts=restarts, device=device)
    if starts_others(plan):
        current().delegated = True
        raise typer.Exit(launch(plan, context.find_root().obj))
    with joined() as world:
        yield world


def released_options(
    arch: str | None,
    upsampling: str | None,
    label_layout: str | None,
    size: str | None = None,
    num_features: int = 0,
) -> "ReleasedOptions":
    """Return what the flags say about files in the released key layout."""
    from spade_eval.sources.checkpoints import ReleasedOptions

    return ReleasedOptions(
        arch=arch,
        upsampling=upsampling,
        label_layout=label_layout,
        image_size=None if size is None else parse_size(size),
        num_features=num_features,
    )


def style_inputs(pairs: Sequence[str], rows: Sequence[str]) -> "dict[str, StyleInput]":
    """Parse NAME=STYLE flags; names are those of folders, checkpoints and models."""
    from spade_eval.errors import lookup
    from spade_eval.sources.source import STYLE_INPUTS

    known: dict[str, StyleInput] = {style: style for style in STYLE_INPUTS}
    stated = {}
    for pair in pairs:
        name, _, style = pair.partition("=")
        if name not in rows:
            raise UserError(
                f"--style-input {pair!r}: expected NAME=STYLE with a NAME of --images, "
                f"--checkpoint, --generator or --model ({', '.join(rows) or 'there is none'})"
            )
        stated[name] = lookup(known, style, "style input")
    return stated


def number_of_images(text: str) -> int | None:
    """Parse 'all' (None), 'none' (0) or a number."""
    if text in ("all", "none"):
        return None if text == "all" else 0
    if not text.isdecimal():
        raise UserError(f"--save-images {text!r}: expected all, none or a number, for example 100")
    return int(text)


def parse_size(text: str) -> tuple[int, int]:
    """Parse '256' or '256x512' (height x width)."""
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and int(side) for side in sides):
        raise UserError(f"--size {text!r}: expected N or HEIGHTxWIDTH, for example 256 or 256x512")
    return int(sides[0]), int(sides[-1])


def named_paths(flag: str, pairs: Sequence[str], kind: Kind) -> dict[str, Path]:
    """Parse NAME=PATH flags; `UserError` where another kind of thing stands at a path."""
    named = {name: Path(path) for name, path in named_values(flag, pairs, "PATH", "folder").items()}
    for path in named.values():
        require(flag, path, kind)
    return named


def named_values(flag: str, pairs: Sequence[str], what: str, example: str) -> dict[str, str]:
    """Parse NAME=VALUE flags; a name becomes a row and a folder, so it has no path characters."""
    named: dict[str, str] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not (separator and name and value):
            raise UserError(
                f"{flag} {pair!r}: expected NAME={what}, for example {flag} mine={example}"
            )
        if name in named:
            raise UserError(f"{flag}: the name {name!r} is given twice; expected different names")
        require_folder_name(f"{flag} {pair!r}", name)
        named[name] = value
    return named
