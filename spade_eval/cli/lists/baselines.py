# SPDX-License-Identifier: Apache-2.0
"""`spade-eval baselines`: the generators that ship, as a list, and the command that ships them."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spade_eval.cli import options
from spade_eval.cli.console.app import App
from spade_eval.cli.console.output import show, wrote
from spade_eval.cli.console.paths import checked
from spade_eval.errors import UserError
from spade_eval.files import is_writable

if TYPE_CHECKING:
    from spade_eval.baselines import Baseline

baselines_app = App(help="Generators that ship, beside which others are scored without training.")


@baselines_app.command(name="list")
def list_baselines() -> None:
    """Print every baseline: how it was made, chosen and scored; its file's hash is checked."""
    from spade_eval.baselines import shipped

    rows: list[dict[str, Any]] = []
    for item in shipped().values():
        rows.append(_row(item))
        show("\n".join(_lines(item)), rows=rows)
    if not rows:
        show("no baselines ship with this version", rows=rows)


@baselines_app.command()
def ship(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN",
            help="Run folders, each with one seed of the rows.",
            callback=checked("folder"),
        ),
    ],
    row: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A trained row whose best seed shall ship. Repeatable."),
    ] = None,
    weights_dir: options.WeightsDir = None,
    device: options.Device = "auto",
) -> None:
    """Write the best seed of rows, in half precision, into the package, with how it was made."""
    from spade_eval import baselines
    from spade_eval.baselines.shipping import ship as shipping
    from spade_eval.devices import resolve_device
    from spade_eval.workplace import Workplace

    if not row:
        raise UserError("baselines ship: --row is missing, expected --row NAME, such as spade")
    if not is_writable(baselines.FOLDER):
        raise UserError(
            f"{baselines.FOLDER} cannot be written, where baselines ship from; use a checkout of "
            "the repository (pip install -e .)"
        )
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        place = Workplace(
            run_folder=Path(scratch),
            data_root=options.data_root_or_default(None),
            weights_dir=options.weights_dir_or_default(weights_dir),
            device=resolve_device(device),
        )
        for path, item in shipping(runs, list(dict.fromkeys(row)), place, _command):
            wrote([path.with_name(name) for name in item.files])
            rows.append(_row(item))
            show("\n".join(_lines(item)), rows=rows)


def _command(trained: Any) -> str:
    from spade_eval.reports.measured.provenance import command_to_repeat

    return command_to_repeat(trained.config.as_json(), trained.record)


def _row(item: "Baseline") -> dict[str, Any]:
    return {**vars(item), "row": item.row, "bytes": item.path().stat().st_size}


def _lines(item: "Baseline") -> list[str]:
    train, scored = item.train, item.scored
    height, width = item.size
    seeds = ", ".join(f"{seed}: {100 * score:.2f}%" for seed, score in item.seeds.items())
    encoder = {"encoder": f"{item.encoder}, SHA-256 {item.encoder_sha256}"}
    encoder = encoder if item.encoder_sha256 else {}
    scores = ", ".join(f"{name} {value:.4f}" for name, value in item.scores.items())
    facts = {
        "file": f"{item.file}, {item.path().stat().st_size:,} bytes, SHA-256 {item.sha256}",
        **encoder,
        "trained": f"{train['steps']} steps, {train['dataset']} at {height}x{width}, weights "
        f"{item.weights}, checkpoint {item.checkpoint_rule}",
        "made by": item.command,
        "made on": f"{item.made_on['device']}, {item.made_on['platform']}, commit "
        f"{str(item.made_on['commit'])[:8]}, {item.made_on['started']}",
        "chosen": f"the best {item.chosen_by} of the seeds {seeds}",
        "scores": f"{scores} ({scored['num_images']} {scored['split']} images)",
        "half": f"from full precision {item.half['mean_levels']:.4f} of 255 levels on average, "
        f"{item.half['largest_levels']:.2f} at most; {item.chosen_by} "
        f"{100 * item.half[item.chosen_by]:+.4f} points",
    }
    return [item.row, *(f"  {name:<8}{value}" for name, value in facts.items())]
