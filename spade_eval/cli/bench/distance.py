# SPDX-License-Identifier: Apache-2.0
"""`spade-eval bench distance`: the Fréchet distance against SciPy's matrix root."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from spade_eval.reports.statistics.jackknife import Floats

from spade_eval.cli.bench.flags import Repeats, Save, WarmUp
from spade_eval.cli.bench.lines import Column, optional, print_lines, print_table

COLUMNS = (
    Column("dim", 6, lambda row: f"{row['dim']}"),
    Column("N", 7, lambda row: f"{row['num_images']}"),
    Column("ours", 10, lambda row: f"{row['ours_seconds']:.3f} s"),
    Column("SciPy", 10, lambda row: f"{row['scipy_seconds']:.3f} s"),
    Column("eigenvalues", 13, lambda row: f"{row['eigenvalues_seconds']:.3f} s"),
    Column("ratio", 8, lambda row: f"{row['ratio']:.4f}"),
    Column("target", 8, lambda row: optional(row["target"], ".2f")),
    Column("ours - SciPy", 14, lambda row: f"{row['ours'] - row['scipy']:.2e}"),
    Column("uncertainty", 13, lambda row: optional(row.get("uncertainty_seconds"), ".1f")),
    Column("of cores", 10, lambda row: optional(row.get("uncertainty_core_seconds"), ".1f")),
    Column("target", 8, lambda row: optional(row["uncertainty_target"], ".0f")),
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
    """Time the Fréchet distance against SciPy's matrix root: a table, then a line of JSON a row.

    `eigenvalues` are those alone of one matrix of that size, which no form goes without.
    `uncertainty` is what a report adds to a row: values of FID and KID without bias, intervals.
    """
    import scipy

    from spade_eval.bench.distance import time_distance

    shared = {"seed": seed, "scipy_version": scipy.__version__}
    rows = print_table(
        COLUMNS,
        (
            time_distance(dim, count, repeats, seed, warm_up, _uncertainty) | shared
            for count in n or [5000, 500]
        ),
    )
    print_lines("distance", rows, save)


def _uncertainty(real: "Floats", synthesized: "Floats") -> None:
    """Compute all that a report and a comparison add to FID and KID of a row."""
    from spade_eval.reports.statistics.feature_distances import has_full_rank, left_out_frechet
    from spade_eval.reports.statistics.frechet_influence import influence_of_maps
    from spade_eval.reports.statistics.jackknife import FEWEST_IMAGES
    from spade_eval.reports.statistics.kernel_distances import (
        kernel_influence,
        left_out_pairs,
        paired_sums,
    )

    if len(real) < FEWEST_IMAGES:
        return
    if has_full_rank(*real.shape):
        left_out_frechet(real, synthesized, paired=True)
        influence_of_maps(real, synthesized)
    sums = paired_sums(real, synthesized)
    left_out_pairs(sums)
    kernel_influence(sums)
