# SPDX-License-Identifier: Apache-2.0
"""`spade-eval bench generator`: how fast generators are, and what the fast forms save."""

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from spade_eval.cli import options
from spade_eval.cli.bench.flags import Model, NetworkWidth, Repeats, Save, WarmUp
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
from spade_eval.cli.console.conditions import WITHOUT_MAPS, WITHOUT_TRAINING

if TYPE_CHECKING:
    from spade_eval.bench.timing import Row

_MAPS_OF_A_DATASET = 16
COLUMNS = (
    SIZE,
    Column("batch", 5, lambda row: f"{row['batch']}"),
    Column("labels", 6, lambda row: f"{row['num_labels']}"),
    Column("distinct", 8, lambda row: f"{row['distinct']:.1%}"),
    Column("variant", 16, lambda row: f"{row['variant']}", "<"),
    Column("median", 9, lambda row: f"{row['seconds']:.3f} s"),
    spread(15),
    Column("s/image", 8, lambda row: f"{row['seconds'] / row['batch']:.3f}"),
    RATIO,
    Column("share", 6, lambda row: f"{row['share']:.0%}"),
    PEAK,
    Column("deviation", 9, lambda row: optional(row["deviation"], ".1e")),
)


def bench_generator(
    model: Model = "spade",
    size: Annotated[
        list[str] | None,
        typer.Option(metavar="N|HxW", help="Pixels [default: 256]. Repeatable."),
    ] = None,
    batch: Annotated[
        list[int] | None, typer.Option(min=1, help="[default: 4]. Repeatable.")
    ] = None,
    classes: Annotated[
        list[int] | None,
        typer.Option(min=1, max=254, help="Besides unknown and edges [default: 182]. Repeatable."),
    ] = None,
    width: NetworkWidth = 1.0,
    maps: options.Maps = None,
    instances: options.Instances = None,
    dataset: Annotated[options.Dataset, WITHOUT_MAPS] = "scenes",
    data_root: options.DataRoot = None,
    repeats: Repeats = 3,
    warm_up: WarmUp = 1,
    training: Annotated[
        bool, typer.Option(help="Whole training steps, without the perceptual loss.")
    ] = False,
    compile: Annotated[
        bool, typer.Option(help="Variants with torch.compile as well."), WITHOUT_TRAINING
    ] = False,
    precision: Annotated[
        list[str] | None,
        typer.Option(
            metavar="tf32|bf16|fp16",
            help="Both forms in that as well; tf32 on CUDA. Repeatable.",
        ),
        WITHOUT_TRAINING,
    ] = None,
    device: options.Device = "auto",
    save: Save = None,
) -> None:
    """Time the fast forms against the dense ones: a table, then a line of JSON for each row."""
    from spade_eval.bench.generator import time_generator
    from spade_eval.bench.maps import open_maps
    from spade_eval.bench.timing import matrix_product_rate
    from spade_eval.bench.variants import PRECISIONS, variants
    from spade_eval.devices import resolve_device
    from spade_eval.errors import UserError, as_user_error, lookup

    precisions = precision or []
    for name in precisions:
        lookup(dict.fromkeys(PRECISIONS), name, "precision")
    place, root = resolve_device(device), options.data_root_or_default(data_root)
    if "tf32" in precisions and place.type != "cuda":
        raise UserError(f"--precision tf32 on {place.type}: only CUDA has it; leave it out here")
    sizes = [options.parse_size(text) for text in size or ["256"]]
    ceiling = matrix_product_rate(place)
    # How fast the fast forms are depends on the maps, so rows of different ones are no curve.
    shared = {"maps": dataset if maps is None else str(maps), "warm_up": warm_up}

    def measured() -> "Iterator[Row]":
        for pixels, count in itertools.product(sizes, classes or [182]):
            opened = open_maps(maps, instances, dataset, root, pixels, count, _MAPS_OF_A_DATASET)
            for batch_size in batch or [4]:
                with as_user_error(f"bench generator {model}"):
                    rows = time_generator(
                        model,
                        opened,
                        batch_size,
                        width=width,
                        chosen=variants(compile, precisions),
                        repeats=repeats,
                        warm_up=warm_up,
                        device=place,
                        ceiling=ceiling,
                        work="training" if training else "synthesis",
                    )
                yield from (row | shared for row in rows)

    print_lines("generator", print_table(COLUMNS, measured()), save)
