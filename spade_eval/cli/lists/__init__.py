# SPDX-License-Identifier: Apache-2.0
"""`spade-eval models`, `protocol` and `weights`: what the suite knows, as lists.

Weights are of other people's networks: their files and hashes, checked and fetched when asked.
"""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from spade_eval.cli import options
from spade_eval.cli.console.app import App
from spade_eval.cli.console.conditions import WITH_DATASET, WITH_INTO, WITHOUT_DIFF
from spade_eval.cli.console.output import say, show, wrote
from spade_eval.cli.console.paths import checked
from spade_eval.errors import UserError, lookup

weights_app = App(help="Weight files: what is known, what is there, what to fetch.")

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="WORD", help="Words of a file's name or use [default: all]."),
]


def models(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="A generator; with --diff also a method [default: all]."
        ),
    ] = None,
    diff: Annotated[
        bool, typer.Option("--diff", help="Show where `paper` and `release` settings differ.")
    ] = False,
    csv: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write the list to this file.",
            callback=checked("file", written=True),
        ),
        WITHOUT_DIFF,
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option(
            metavar="PAGE",
            help="Put the table of all systems into the block `systems` of a page.",
            callback=checked("file", written=True),
        ),
        WITHOUT_DIFF,
    ] = None,
    run: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER",
            help="Run folder or bundle whose scores the table shows. Repeatable.",
            callback=checked("file or folder"),
        ),
        WITH_INTO,
    ] = None,
) -> None:
    """List the generators: row of the paper, parameters per dataset, printed count."""
    from spade_eval.cli.lists.model_list import (
        listed_models,
        settings_differences,
        table,
        write_csv,
    )

    if into is not None:
        _fill_systems(into, run or [])
        return
    if diff:
        show("\n".join(settings_differences(name)))
        return
    listed = listed_models(() if name is None else (name,))
    if csv is not None:
        write_csv(listed, csv)
        wrote([csv])
    show("\n".join(table(listed)), rows=listed)
    if csv is not None:
        say(f"\nwritten: {csv}")


def _fill_systems(page: Path, runs: list[Path]) -> None:
    """Put every system, with its scores in these runs, into the block `systems` of a page."""
    from spade_eval.cli.lists.system_list import listed_systems
    from spade_eval.reports.runs import merged, open_runs
    from spade_eval.reports.tables.filled_page import fill_page, require_block
    from spade_eval.reports.tables.systems import systems_text

    require_block(page, "systems")
    with tempfile.TemporaryDirectory() as scratch:
        measurements = merged(open_runs(runs, Path(scratch))).measurements
        wrote([fill_page(page, "systems", systems_text(listed_systems(), measurements))])
    show(f"{page}: the block systems is filled")


def protocol(
    dataset: Annotated[
        str | None,
        typer.Argument(
            metavar="DATASET", help="Print everything that its profiles fix [default: table]."
        ),
    ] = None,
    profile: Annotated[options.Profile, WITH_DATASET] = None,
    segmenter: Annotated[options.Segmenter, WITH_DATASET] = None,
    fid_profile: Annotated[options.FIDProfile, WITH_DATASET] = None,
    damage: Annotated[options.Damage, WITH_DATASET] = None,
    masks: Annotated[options.Masks, WITH_DATASET] = None,
) -> None:
    """Print how images are scored, by every profile or by one."""
    from spade_eval.datasets import DATASETS
    from spade_eval.protocol import (
        SHORTHANDS,
        map_change,
        map_lines,
        profiles_of,
        protocol_for,
        table_lines,
    )

    if dataset is None:
        show("\n".join(table_lines()))
        for short, meant in SHORTHANDS.items():
            spelled = ", ".join(f"{name} on {dataset}" for dataset, name in meant.items())
            show(f"{short} is {spelled}")
        show("\n".join(map_lines()))
        return
    lookup(DATASETS, dataset, "dataset")
    names = profiles_of(dataset) if profile is None else [profile]
    given_maps = map_change(damage, masks)
    chosen = [
        protocol_for(name, dataset, segmenter, fid_profile, given_maps=given_maps) for name in names
    ]
    texts = ["\n".join(item.lines()) for item in chosen]
    show("\n\n".join(texts), protocols=chosen)


@weights_app.command(name="list")
def list_files(names: Names = None, weights_dir: options.WeightsDir = None) -> None:
    """Print every known file: use, licence, preprocessing, published score, origin, presence."""
    from spade_eval.weights import is_installed
    from spade_eval.weights.table import choose

    folder = options.weights_dir_or_default(weights_dir)
    rows: list[dict[str, str]] = []
    for file in choose(names or []):
        scores = ", ".join(f"{name} {100 * value:.2f}%" for name, value in file.published.items())
        facts = {
            "for": file.used_for,
            "network": file.title,
            "labels": file.labels,
            "input": file.preprocessing,
            "published": scores,
            "licence": file.licence,
            "sha-256": file.sha256_prefix or "recorded on first use",
            "origin": file.origin,
        }
        present = "present" if is_installed(file, folder) else "absent"
        rows.append({"file": file.file_name, "state": present, **facts})
        lines = [f"  {name:<10}{value}" for name, value in facts.items() if value]
        show("\n".join([f"{file.file_name} ({present})", *lines]), rows=rows)
    show(f"folder: {folder}", folder=folder)


@weights_app.command()
def check(names: Names = None, weights_dir: options.WeightsDir = None) -> None:
    """Hash every file that is there; exit code 1 if one is not what it was."""
    from spade_eval.weights import is_installed
    from spade_eval.weights.table import choose

    folder, changed = options.weights_dir_or_default(weights_dir), False
    rows: list[dict[str, str]] = []
    for file in choose(names or []):
        try:
            state = "ok" if is_installed(file, folder) else "absent"
        except UserError as error:
            state, changed = f"CHANGED: {error}", True
        rows.append({"file": file.file_name, "state": state})
        show(f"{file.file_name}: {state}", rows=rows)
    if changed:
        raise typer.Exit(1)


@weights_app.command()
def fetch(
    names: Annotated[
        list[str], typer.Argument(metavar="WORD", help="Words of a file's name or use.")
    ],
    weights_dir: options.WeightsDir = None,
) -> None:
    """Download files; started again, resumes. Nothing else ever downloads."""
    from spade_eval.weights.downloads import fetch as download
    from spade_eval.weights.table import choose

    folder = options.weights_dir_or_default(weights_dir)
    for file in choose(names):
        path = download(file, folder)
        wrote([path])
        show(f"{path}: ok")
