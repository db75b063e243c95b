# SPDX-License-Identifier: Apache-2.0
"""`spade-eval bench networks`: how fast networks that score are, and what fast forms save."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from spade_eval.cli import options
from spade_eval.cli.bench.flags import Repeats, Save, WarmUp
from spade_eval.cli.bench.lines import (
    PEAK,
    RATIO,
    SIZE,
    Column,
    optional,
    print_lines,
    print_table,
    spread,
)

if TYPE_CHECKING:
    from spade_eval.bench.timing import Row

_OF_THE_PAPER = ("deeplab-v2", "upernet101-baseline", "drn-d-105", "pytorch-fid")
NETWORK = (
    Column("network", 20, lambda row: row["network"], "<"),
    Column("weights", 7, lambda row: "noise" if row["filled"] else "files", "<"),
    SIZE,
    Column("batch", 5, lambda row: f"{row['batch']}"),
    Column("variant", 16, lambda row: row["variant"], "<"),
)
SAME_CLASSES = Column("same classes", 12, lambda row: optional(row["same_classes"], ".4%"))
COLUMNS = (
    *NETWORK,
    Column("median", 9, lambda row: f"{row['seconds']:.3f} s"),
    spread(15),
    RATIO,
    Column("share", 6, lambda row: f"{row['share']:.0%}"),
    PEAK,
    Column("deviation", 9, lambda row: f"{row['deviation']:.1e}"),
    SAME_CLASSES,
)


def bench_networks(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="Segmenters and FID profiles of `spade-eval weights` [default: "
            f"{', '.join(_OF_THE_PAPER)}].",
        ),
    ] = None,
    size: Annotated[str, typer.Option(metavar="N|HxW", help="Pixels.")] = "256",
    batch: Annotated[int, typer.Option(min=1, help="Images.")] = 1,
    repeats: Repeats = 3,
    warm_up: WarmUp = 1,
    device: options.Device = "auto",
    weights_dir: options.WeightsDir = None,
    save: Save = None,
) -> None:
    """Time the networks that score, plain and fast in turns: a table, then a line of JSON a row.

    Noise stands in for weights that are not in --weights-dir: the time is the same.
    """
    from spade_eval.bench.scoring_networks import scoring_network, time_scoring_network
    from spade_eval.bench.timing import matrix_product_rate
    from spade_eval.bench.variants import variants
    from spade_eval.devices import resolve_device
    from spade_eval.errors import as_user_error

    pixels, place = options.parse_size(size), resolve_device(device)
    folder = options.weights_dir_or_default(weights_dir)
    chosen = names or _OF_THE_PAPER
    with as_user_error("bench networks"):
        opened = [scoring_network(name, folder) for name in chosen]
    ceiling = matrix_product_rate(place)

    def measured() -> "Iterator[Row]":
        for name, network in zip(chosen, opened, strict=True):
            with as_user_error(f"bench networks {name}"):
                yield from time_scoring_network(
                    network,
                    pixels,
                    batch,
                    chosen=variants(False, ()),
                    repeats=repeats,
                    warm_up=warm_up,
                    device=place,
                    ceiling=ceiling,
                )

    print_lines("networks", print_table(COLUMNS, measured()), save)
