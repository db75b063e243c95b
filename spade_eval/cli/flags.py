# SPDX-License-Identifier: Apache-2.0
"""Flags that commands share, in groups that are declared once."""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from spade_eval.cli import options
from spade_eval.cli.console.conditions import (
    IN_TRAINING_PLACE,
    ON_GENERATORS,
    WITH_GPUS,
    WITH_NODES,
    WITH_RELEASED,
)
from spade_eval.cli.console.paths import checked
from spade_eval.cli.console.topics import DATA, PLACE, PROCESSES, RELEASED, SCORING, TRAINING


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Show Typer the fields of a command's groups as flags, one by one.

    A group is a parameter whose type is a dataclass; a field of it may be a group again.
    """
    signature = inspect.signature(command)
    parameters = signature.parameters.values()

    @functools.wraps(command)
    def called(**flags: Any) -> None:
        command(**{item.name: _value(item.name, item.annotation, flags) for item in parameters})

    flat = [
        flag for item in parameters for flag in _flags(item.name, item.annotation, item.default)
    ]
    called.__signature__ = signature.replace(parameters=flat)  # type: ignore[attr-defined]
    called.__annotations__ = {flag.name: flag.annotation for flag in flat}
    return called


def _flags(name: str, kind: Any, default: Any) -> Iterator[inspect.Parameter]:
    if is_dataclass(kind):
        for field in fields(kind):
            yield from _flags(field.name, field.type, field.default)
        return
    default = inspect.Parameter.empty if default is MISSING else default
    yield inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def _value(name: str, kind: Any, flags: Mapping[str, Any]) -> Any:
    if not is_dataclass(kind):
        return flags[name]
    values = {field.name: _value(field.name, field.type, flags) for field in fields(kind)}
    return kind(**values)  # type: ignore[operator]


class Settings(str, Enum):
    """Whose numbers a generator is trained with."""

    paper = "paper"
    release = "release"


class PerceptualNetworks(str, Enum):
    """The paper's network, what stands in for it, or none."""

    vgg19 = "vgg19"
    vgg16 = "vgg16"
    lite0 = "lite0"
    lite0_fine = "lite0-fine"
    lite0_coarse = "lite0-coarse"
    lite0_rising = "lite0-rising"
    in_domain = "in-domain"
    none = "none"


TrainingSettings = Annotated[
    Settings | None,
    typer.Option(
        help="Optimizers, initialisation and losses as printed, or as published code.",
        rich_help_panel=TRAINING,
    ),
    ON_GENERATORS,
]
Perceptual = Annotated[
    PerceptualNetworks | None,
    typer.Option(
        metavar="vgg19|vgg16|lite0|in-domain|none",
        help="Whose features the perceptual loss compares (or lite0-fine, lite0-coarse or "
        "lite0-rising, for its pilot) [default: vgg19 (MUNIT, UNIT: vgg16) where its weights are, "
        "else lite0 where the extra `features` is installed, else none].",
        rich_help_panel=TRAINING,
    ),
    ON_GENERATORS,
]
EMA = Annotated[
    float | None,
    typer.Option(
        "--ema",
        min=0.0,
        max=1.0,
        help="Keep and score an average of the weights.",
        rich_help_panel=TRAINING,
    ),
    ON_GENERATORS,
]


ChannelsLast = Annotated[
    bool,
    typer.Option(
        "--channels-last",
        help="Another order in memory, faster on many devices.",
        rich_help_panel=TRAINING,
    ),
    ON_GENERATORS,
]
OneSynthesis = Annotated[
    bool,
    typer.Option(
        "--one-synthesis",
        help="Let D learn from the images of G's update, where the method makes them anew for it "
        "(SPADE, pix2pixHD, CLADE, SEAN): a step is faster, and not the published one.",
        rich_help_panel=TRAINING,
    ),
    ON_GENERATORS,
]


def plain(flags: object) -> dict[str, Any]:
    """Return what the flags of a group change by name, choices by their text.

    A switch that was not given changes nothing.
    """
    given = {name: getattr(value, "value", value) for name, value in vars(flags).items()}
    return {name: value for name, value in given.items() if value is not False}


@dataclass(frozen=True, kw_only=True)
class RunFlags:
    """Which run: its data, its budget, its seed."""

    dataset: options.Dataset = "scenes"
    budget: options.BudgetName = "default"
    size: options.ImageSize = None
    seed: options.Seed = 0


class RateDecays(str, Enum):
    """How rates fall that a method lets fall linearly."""

    linear = "linear"
    cosine = "cosine"


class LabelInputs(str, Enum):
    """How a generator reads a label map: one channel a label, or a picture."""

    one_hot = "one-hot"
    colours = "colours"


@dataclass(frozen=True, kw_only=True)
class BudgetFlags:
    """What a run trains with instead of what its budget says."""

    steps: Annotated[
        int | None,
        typer.Option(
            min=1, help="Training steps instead of the budget's.", rich_help_panel=TRAINING
        ),
    ] = None
    batch_size: options.BatchSize = None
    width: options.Width = None
    settings: TrainingSettings = None
    perceptual: Perceptual = None
    ema_decay: EMA = None
    rate_scale: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            max=1000,
            help="Times the method's learning rates, instead of the budget's factor.",
            rich_help_panel=TRAINING,
        ),
        ON_GENERATORS,
    ] = None
    rate_decay: Annotated[
        RateDecays | None,
        typer.Option(
            help="How learning rates fall that a method lets fall linearly: in the second half of "
            "the steps, or from the first on along half a cosine wave [default: linear].",
            rich_help_panel=TRAINING,
        ),
        ON_GENERATORS,
    ] = None
    channels_last: ChannelsLast = False
    one_synthesis: OneSynthesis = False
    label_input: Annotated[
        LabelInputs | None,
        typer.Option(
            help="How pix2pix reads label maps [default: one-hot].", rich_help_panel=TRAINING
        ),
        ON_GENERATORS,
    ] = None

    def changes(self) -> dict[str, Any]:
        """Return the fields of the budget that they name, in plain values."""
        return plain(self)


@dataclass(frozen=True, kw_only=True)
class ScoringFlags:
    """How images are synthesized and scored, and how many."""

    profile: options.Profile = None
    segmenter: options.Segmenters = None
    filled_weights: options.FilledWeights = False
    fid_profile: options.FIDProfile = None
    features: Annotated[
        list[str] | None,
        typer.Option(
            metavar="lite0|hf:DIR",
            help="A further network whose features are compared, in columns of their own: "
            "EfficientNet-Lite0, or a Hugging Face model in a folder (DINOv2, CLIP, ViT, Swin, "
            "ConvNeXt, ResNet). Repeatable.",
            rich_help_panel=SCORING,
        ),
    ] = None
    samples: Annotated[
        int,
        typer.Option(
            min=0,
            help="Measure the diversity of so many images of each label map.",
            rich_help_panel=SCORING,
        ),
    ] = 0
    draws: Annotated[
        int,
        typer.Option(
            min=1,
            help="Let generators make so many images of each label map and score all of them: draw "
            "by draw, pooled, and their mean. Folders say themselves how many they hold.",
            rich_help_panel=SCORING,
        ),
    ] = 1
    best_draw: Annotated[
        bool,
        typer.Option(
            "--best-draw",
            help="Add columns of the best image of each label map, an oracle that ranks no row.",
            rich_help_panel=SCORING,
        ),
    ] = False
    damage: options.Damage = None
    masks: options.Masks = None
    synthesis_precision: Annotated[
        str,
        typer.Option(
            metavar="float32|bf16|fp16",
            help="In which generators make the images to score. Half precision is faster where "
            "hardware has it, and is marked with its deviation.",
            rich_help_panel=SCORING,
        ),
    ] = "float32"
    until: Annotated[
        str | None,
        typer.Option(
            metavar="METRIC+-POINTS",
            help="Score in a random order and stop where a metric is known so well, as miou+-0.5, "
            "by a rule that holds at every look.",
            rich_help_panel=SCORING,
        ),
    ] = None
    segmenter_steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Where an in-domain segmenter has to be trained.",
            rich_help_panel=TRAINING,
        ),
    ] = None
    val_limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            min=1,
            help="Score only the first so many samples.",
            rich_help_panel=DATA,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class ReleasedFlags:
    """What released files do not say of themselves."""

    arch: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The architecture, checked against the file: spade, pix2pixhd, pix2pixhdpp, crn, "
            "oasis, clade, sean, pix2pix, cyclegan, unit, munit or sdm.",
            rich_help_panel=RELEASED,
        ),
        WITH_RELEASED,
    ] = None
    upsampling: Annotated[
        str | None,
        typer.Option(metavar="normal|more|most", help="Of SPADE files.", rich_help_panel=RELEASED),
        WITH_RELEASED,
    ] = None
    label_layout: Annotated[
        str | None,
        typer.Option(
            metavar="LAYOUT",
            help="Channels of the label map: coco_stuff, ade20k_raw, ade20k_shifted, cityscapes, "
            "cityscapes_without_edges, coco_stuff_unknown_first, or written as "
            "19+unknown-last+edges.",
            rich_help_panel=RELEASED,
        ),
        WITH_RELEASED,
    ] = None


@dataclass(frozen=True, kw_only=True)
class PlaceFlags:
    """Where a run happens."""

    data_root: options.DataRoot = None
    weights_dir: Annotated[options.WeightsDir, IN_TRAINING_PLACE] = None
    device: options.Device = "auto"
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Run folder [default: runs/<name of the run>].",
            rich_help_panel=PLACE,
            callback=checked("folder", written=True),
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class ProcessFlags:
    """The processes that share a run."""

    gpus: options.GPUs = None
    nodes: Annotated[
        int,
        typer.Option(
            min=1, help="Machines; start the same command on each.", rich_help_panel=PROCESSES
        ),
        ON_GENERATORS,
    ] = 1
    rendezvous: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="One of the --nodes, the same on all of them.",
            rich_help_panel=PROCESSES,
        ),
        WITH_NODES,
    ] = None
    restarts: Annotated[
        int,
        typer.Option(
            min=0,
            help="Continue up to so often by itself when a process of --gpus ends.",
            rich_help_panel=PROCESSES,
        ),
        WITH_GPUS,
    ] = 0
