# SPDX-License-Identifier: Apache-2.0
"""`spade-eval bench`: what this machine takes for the parts that cost time."""

import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer

from spade_eval.cli.bench.count import bench_count
from spade_eval.cli.bench.data import bench_data
from spade_eval.cli.bench.generator import bench_generator
from spade_eval.cli.bench.lines import Save, print_lines
from spade_eval.cli.bench.plot import bench_plot
from spade_eval.cli.bench.score import bench_score
from spade_eval.cli.bench.train import bench_train

if TYPE_CHECKING:
    from spade_eval.bench.distance import DistanceTiming

bench_app = typer.Typer(help="Measure speed on this machine.")
bench_app.callback(invoke_without_command=True)(bench_count)
bench_app.command(name="data")(bench_data)
bench_app.command(name="train")(bench_train)
bench_app.command(name="generator")(bench_generator)
bench_app.command(name="score")(bench_score)
bench_app.command(name="plot")(bench_plot)


@bench_app.command()
def distance(
    dim: Annotated[int, typer.Option(min=1, help="Dimensions of the features.")] = 2048,
    n: Annotated[
        list[int] | None,
        typer.Option(min=2, help="Images on each side [default: 5000, 500]. Repeatable."),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each, in turn; medians count.")] = 3,
    warm_up: Annotated[int, typer.Option(min=0, help="Runs before those.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of the features drawn.")] = 0,
    save: Save = None,
) -> None:
    """Time the Fréchet distance against SciPy's matrix root: a table, then a line of JSON a row."""
    import scipy
    from tqdm import tqdm

    from spade_eval.bench.distance import time_distance

    counts = n or [5000, 500]
    rows = [
        time_distance(dim, count, repeats, seed, warm_up)
        for count in tqdm(counts, desc="distances", unit="size")
    ]
    typer.echo("\n".join(_table(rows)))
    shared = {"seed": seed, "scipy_version": scipy.__version__}
    print_lines("distance", [{**dataclasses.asdict(row), **shared} for row in rows], save)


def _table(rows: "list[DistanceTiming]") -> list[str]:
    lines = [
        f"{'dim':>6} {'N':>7} {'ours':>10} {'SciPy':>10} {'ratio':>8} {'target':>8} "
        f"{'ours - SciPy':>14}"
    ]
    for row in rows:
        target = "-" if row.target is None else f"{row.target:.2f}"
        lines.append(
            f"{row.dim:>6} {row.num_images:>7} {row.ours_seconds:>8.3f} s {row.scipy_seconds:>8.3f}"
            f" s {row.ratio:>8.4f} {target:>8} {row.ours - row.scipy:>14.2e}"
        )
    return lines
