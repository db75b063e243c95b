# SPDX-License-Identifier: Apache-2.0
"""`spade-eval bench plot`: figures from the lines of JSON that the other bench commands print."""

from pathlib import Path
from typing import Annotated

import typer

from spade_eval.cli.console.output import show, wrote
from spade_eval.cli.console.paths import checked


def bench_plot(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE",
            help="Of --save, or what was printed, kept as a file.",
            callback=checked("file"),
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder [default: beside the first file].",
            callback=checked("folder", written=True),
        ),
    ] = None,
) -> None:
    """Draw time against size, batch, labels and number of images, wherever the lines vary it."""
    from spade_eval.errors import UserError
    from spade_eval.reports.bench.lines import read_bench_lines
    from spade_eval.reports.bench.plots import plot_bench

    plots = plot_bench(read_bench_lines(files), out or files[0].parent)
    if not plots:
        raise UserError(
            f"{', '.join(map(str, files))}: nothing to draw, since no two lines differ in just a "
            "size, batch, number of labels or of images; measure several (--size 128 --size 256)"
        )
    for plot in plots:
        wrote([plot.png, plot.pdf, plot.svg])
        show("\n".join(map(str, (plot.png, plot.pdf, plot.svg))))
