# SPDX-License-Identifier: Apache-2.0
"""`spade-eval bench generator`: how fast generators are, and what the fast forms save."""

import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer

from spade_eval.cli import options
from spade_eval.cli.bench.lines import Save, print_lines

if TYPE_CHECKING:
    from spade_eval.bench.generator import GeneratorTiming

_MAPS_OF_A_DATASET = 16


def bench_generator(
    model: Annotated[str, typer.Option(help="A generator of `spade-eval models`.")] = "spade",
    size: Annotated[
        list[str] | None, typer.Option(help="N or HxW [default: 256]. Repeatable.")
    ] = None,
    batch: Annotated[
        list[int] | None, typer.Option(min=1, help="[default: 4]. Repeatable.")
    ] = None,
    classes: Annotated[
        list[int] | None,
        typer.Option(min=1, max=254, help="Besides unknown and edges [default: 182]. Repeatable."),
    ] = None,
    width: Annotated[float, typer.Option(min=0.01, help="1 is the paper's.")] = 1.0,
    maps: options.Maps = None,
    instances: options.Instances = None,
    dataset: options.Dataset = "scenes",
    data_root: options.DataRoot = None,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each, in turn; medians count.")] = 3,
    warm_up: Annotated[int, typer.Option(min=0, help="Runs before those.")] = 1,
    training: Annotated[
        bool, typer.Option(help="Whole training steps, without the perceptual loss.")
    ] = False,
    compile: Annotated[bool, typer.Option(help="Variants with torch.compile as well.")] = False,
    precision: Annotated[
        list[str] | None,
        typer.Option(help="Both forms in tf32 (CUDA), bf16 or fp16 as well. Repeatable."),
    ] = None,
    device: options.Device = "auto",
    save: Save = None,
) -> None:
    """Time the fast forms against the dense ones: a table, then a line of JSON for each row."""
    from spade_eval.bench.generator import PRECISIONS, time_generator, variants
    from spade_eval.bench.maps import open_maps
    from spade_eval.devices import resolve_device
    from spade_eval.errors import UserError, as_user_error, lookup

    precisions = precision or []
    for name in precisions:
        lookup(dict.fromkeys(PRECISIONS), name, "precision")
    if training and (compile or precisions):
        raise UserError("--training: measured in float32, eager; leave out --compile, --precision")
    place, root = resolve_device(device), options.data_root_or_default(data_root)
    if "tf32" in precisions and place.type != "cuda":
        raise UserError(f"--precision tf32 on {place.type}: only CUDA has it; leave it out here")
    rows: list[GeneratorTiming] = []
    typer.echo(_HEADER)
    for pixels in [options.parse_size(text) for text in size or ["256"]]:
        for count in classes or [182]:
            found = open_maps(maps, instances, dataset, root, pixels, count, _MAPS_OF_A_DATASET)
            for batch_size in batch or [4]:
                with as_user_error(f"bench generator {model}"):
                    timed = time_generator(
                        model,
                        found,
                        batch_size,
                        width=width,
                        chosen=variants(compile, precisions),
                        repeats=repeats,
                        warm_up=warm_up,
                        device=place,
                        work="training" if training else "synthesis",
                    )
                typer.echo("\n".join(_line(row) for row in timed))
                rows += timed
    # How fast the fast forms are depends on the maps, so rows of different ones are no curve.
    shared = {"maps": dataset if maps is None else str(maps), "warm_up": warm_up}
    print_lines("generator", [{**dataclasses.asdict(row), **shared} for row in rows], save)


_HEADER = (
    f"{'size':>11} {'batch':>5} {'labels':>6} {'distinct':>8} {'variant':<16} {'median':>9} "
    f"{'from - to':>15} {'s/image':>8} {'ratio':>6} {'peak MiB':>8} {'deviation':>9}"
)


def _line(row: "GeneratorTiming") -> str:
    pixels = f"{row.height} x {row.width}"
    spread = f"{row.fastest:.2f} - {row.slowest:.2f}"
    peak = "-" if row.peak_mib is None else f"{row.peak_mib:.0f}"
    deviation = "-" if row.deviation is None else f"{row.deviation:.1e}"
    return (
        f"{pixels:>11} {row.batch:>5} {row.num_labels:>6} {row.distinct:>8.1%} {row.variant:<16} "
        f"{row.seconds:>7.3f} s {spread:>15} {row.seconds / row.batch:>8.3f} {row.ratio:>6.2f} "
        f"{peak:>8} {deviation:>9}"
    )
