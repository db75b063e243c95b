# SPDX-License-Identifier: Apache-2.0
"""`spade-eval bench distance`: the Fréchet distance against SciPy's matrix root."""

from typing import Annotated

import typer

from spade_eval.cli.bench.flags import Repeats, Save, WarmUp
from spade_eval.cli.bench.lines import Column, optional, print_lines, print_table

_COLUMNS = (
    Column("dim", 6, lambda row: f"{row['dim']}"),
    Column("N", 7, lambda row: f"{row['num_images']}"),
    Column("ours", 10, lambda row: f"{row['ours_seconds']:.3f} s"),
    Column("SciPy", 10, lambda row: f"{row['scipy_seconds']:.3f} s"),
    Column("ratio", 8, lambda row: f"{row['ratio']:.4f}"),
    Column("target", 8, lambda row: optional(row["target"], ".2f")),
    Column("ours - SciPy", 14, lambda row: f"{row['ours'] - row['scipy']:.2e}"),
)


def bench_distance(
    dim: Annotated[int, typer.Option(min=1, help="Dimensions of the features.")] = 2048,
    n: Annotated[
        list[int] | None,
        typer.Option(min=2, help="Images on each side [default: 5000, 500]. Repeatable."),
    ] = None,
    repeats: Repeats = 3,
    warm_up: WarmUp = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of the features drawn.")] = 0,
    save: Save = None,
) -> None:
    """Time the Fréchet distance against SciPy's matrix root: a table, then a line of JSON a row."""
    import scipy

    from spade_eval.bench.distance import time_distance

    shared = {"seed": seed, "scipy_version": scipy.__version__}
    rows = print_table(
        _COLUMNS,
        (time_distance(dim, count, repeats, seed, warm_up) | shared for count in n or [5000, 500]),
    )
    print_lines("distance", rows, save)
