# SPDX-License-Identifier: Apache-2.0
"""Flags that the `spade-eval bench` commands share."""

from pathlib import Path
from typing import Annotated

import typer

from spade_eval.cli.console.paths import checked

Model = Annotated[str, typer.Option(metavar="NAME", help="One of `spade-eval models`.")]
NetworkWidth = Annotated[float, typer.Option("--width", min=0.01, help="1 is the paper's.")]
Repeats = Annotated[int, typer.Option(min=1, help="Runs of each, in turn; medians count.")]
WarmUp = Annotated[int, typer.Option(min=0, help="Runs before those.")]
Save = Annotated[
    Path | None,
    typer.Option(
        "--save",
        metavar="FILE",
        help="Append the lines of JSON to this file as well, for `spade-eval bench plot`.",
        callback=checked("file", written=True),
    ),
]
