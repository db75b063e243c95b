# SPDX-License-Identifier: Apache-2.0
"""Options on what generators learn from, for every command that trains one."""

from enum import Enum
from typing import Annotated

import typer

from spade_eval.cli.console.conditions import ON_GENERATORS
from spade_eval.cli.console.topics import TRAINING


class Settings(str, Enum):
    """Whose numbers a generator is trained with."""

    paper = "paper"
    release = "release"


class PerceptualNetworks(str, Enum):
    """The paper's network, what stands in for it, or none."""

    vgg19 = "vgg19"
    vgg16 = "vgg16"
    lite0 = "lite0"
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
        help="Whose features the perceptual loss compares [default: vgg19 (MUNIT, UNIT: vgg16) "
        "where its weights are, else lite0 where the extra `features` is installed, else none].",
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
