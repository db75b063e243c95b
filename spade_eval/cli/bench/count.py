# SPDX-License-Identifier: Apache-2.0
"""`spade-eval bench --count`: operations and bytes of each stage against the machine's ceilings."""

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spade_eval.cli import options
from spade_eval.cli.bench.lines import Save, print_lines
from spade_eval.errors import UserError

if TYPE_CHECKING:
    from spade_eval.bench.ceilings import Ceilings
    from spade_eval.bench.count import Work
    from spade_eval.models.fast.convolution import Form

_FORMS: "dict[str, Form]" = {"dense": "dense", "fast": "chosen"}


def bench_count(
    context: typer.Context,
    count: Annotated[
        bool,
        typer.Option(
            "--count",
            help="Operations, bytes and time of each stage against the machine's ceilings. "
            "The other flags here belong to it.",
        ),
    ] = False,
    model: Annotated[str, typer.Option(help="A generator of `spade-eval models`.")] = "spade",
    size: Annotated[str, typer.Option(help="N or HxW.")] = "256",
    batch: Annotated[int, typer.Option(min=1, help="Label maps at a time.")] = 1,
    classes: Annotated[int, typer.Option(min=1, max=254, help="Besides unknown and edges.")] = 182,
    width: Annotated[float, typer.Option(min=0.01, help="1 is the paper's.")] = 1.0,
    maps: options.Maps = None,
    instances: options.Instances = None,
    dataset: options.Dataset = "scenes",
    data_root: options.DataRoot = None,
    repeats: Annotated[int, typer.Option(min=1, help="Passes; the one of median time counts.")] = 3,
    device: options.Device = "auto",
    save: Save = None,
) -> None:
    """Measure speed on this machine: a command, or --count, the roofline of every stage."""
    if context.invoked_subcommand is not None:
        _refuse_own_flags(context)
        return
    if not count:
        typer.echo(context.get_help())
        raise typer.Exit(2)
    from spade_eval.bench.ceilings import measure_ceilings
    from spade_eval.bench.count import count_stages
    from spade_eval.bench.maps import open_maps
    from spade_eval.devices import resolve_device
    from spade_eval.errors import as_user_error
    from spade_eval.models.generators import build_generator, generator_config

    place, pixels = resolve_device(device), options.parse_size(size)
    root = options.data_root_or_default(data_root)
    found = open_maps(maps, instances, dataset, root, pixels, classes, batch)
    num_labels = found.layout.num_labels
    rows = []
    with as_user_error(f"bench --count {model}"):
        generator = build_generator(model, num_labels, pixels, width)
        ceilings = measure_ceilings(place)
        typer.echo(_ceilings_line(ceilings, place.type))
        for name, form in _FORMS.items():
            work = count_stages(generator, found, batch, form=form, repeats=repeats, device=place)
            typer.echo(
                f"\n{model} {pixels[0]} x {pixels[1]}, batch {batch}, {num_labels} labels, "
                f"{name} form"
            )
            typer.echo("\n".join(_table(work, ceilings)))
            rows += [{"form": name, **row} for row in _rows(work, ceilings)]
    common = {
        "model": model,
        "height": pixels[0],
        "width": pixels[1],
        "batch": batch,
        "num_labels": num_labels,
        "base_channels": generator_config(model, num_labels, pixels, width).base_channels,
        "repeats": repeats,
        "maps": dataset if maps is None else str(maps),
        "device": place.type,
        **dataclasses.asdict(ceilings),
    }
    typer.echo()
    print_lines("count", [row | common for row in rows], save)


def _refuse_own_flags(context: typer.Context) -> None:
    """Flags before a command would be lost without a word."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            flag = f"--{name.replace('_', '-')}"
            raise UserError(
                f"bench {flag} {context.invoked_subcommand}: flags before a command are those of "
                f"--count; put them after {context.invoked_subcommand}, or leave the command out"
            )


def _rows(stages: "dict[str, Work]", ceilings: "Ceilings") -> list[dict[str, Any]]:
    """The fields of each stage."""
    bounds = {name: ceilings.bound_seconds(w.operations, w.bytes) for name, w in stages.items()}
    return [
        {
            "stage": name,
            **dataclasses.asdict(work),
            "bound_seconds": bounds[name],
            "share": _share(bounds[name], work.seconds),
        }
        for name, work in stages.items()
    ]


def _share(bound: float, seconds: float) -> float | None:
    """None where a stage has nothing to do."""
    return bound / seconds if seconds else None


def _ceilings_line(ceilings: "Ceilings", device: str) -> str:
    import torch

    return (
        f"{device}, {torch.get_num_threads()} threads, float32: matrix product "
        f"{ceilings.operations_per_second / 1e9:.1f} G operations/s, copy "
        f"{ceilings.bytes_per_second / 1e9:.1f} GB/s"
    )


def _table(stages: "dict[str, Work]", ceilings: "Ceilings") -> list[str]:
    """The bound of the total is the sum of the stages': they run one after another."""
    from spade_eval.bench.count import total

    lines = [
        f"{'stage':<15} {'operations (G)':>14} {'MB':>10} {'ops/byte':>9} {'ms':>10} "
        f"{'bound (ms)':>10} {'bound by':>10} {'share':>6}"
    ]
    bounds = {}
    for stage, work in stages.items():
        bounds[stage] = ceilings.bound_seconds(work.operations, work.bytes)
        binding = ceilings.binding(work.operations, work.bytes) if work.bytes else "-"
        lines.append(_line(stage, work, bounds[stage], binding))
    return [*lines, _line("total", total(stages), sum(bounds.values()), "-")]


def _line(stage: str, work: "Work", bound: float, binding: str) -> str:
    share = _share(bound, work.seconds)
    return (
        f"{stage:<15} {work.operations / 1e9:>14.3f} {work.bytes / 1e6:>10.2f} "
        f"{work.operations / max(1, work.bytes):>9.2f} {1000 * work.seconds:>10.2f} "
        f"{1000 * bound:>10.2f} {binding:>10} {'-' if share is None else f'{share:.0%}':>6}"
    )
