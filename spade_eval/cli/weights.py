# SPDX-License-Identifier: Apache-2.0
"""`spade-eval weights list | check | fetch`: other people's networks, their files and hashes."""

from typing import Annotated

import typer

from spade_eval.cli import options
from spade_eval.errors import UserError

weights_app = typer.Typer(help="Weight files: what is known, what is there, what to fetch.")

Names = Annotated[
    list[str] | None, typer.Argument(help="Words of a file's name or use [default: all].")
]


@weights_app.command(name="list")
def list_files(names: Names = None, weights_dir: options.WeightsDir = None) -> None:
    """Print every known file: use, licence, preprocessing, published score, origin, presence."""
    from spade_eval.weights import is_installed
    from spade_eval.weights.table import choose

    folder = options.weights_dir_or_default(weights_dir)
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
        typer.echo(f"{file.file_name} ({present})")
        for name, value in facts.items():
            if value:
                typer.echo(f"  {name:<10}{value}")
    typer.echo(f"folder: {folder}")


@weights_app.command()
def check(names: Names = None, weights_dir: options.WeightsDir = None) -> None:
    """Hash every file that is there; exit code 1 if one is not what it was."""
    from spade_eval.weights import is_installed
    from spade_eval.weights.table import choose

    folder, changed = options.weights_dir_or_default(weights_dir), False
    for file in choose(names or []):
        try:
            state = "ok" if is_installed(file, folder) else "absent"
        except UserError as error:
            state, changed = f"CHANGED: {error}", True
        typer.echo(f"{file.file_name}: {state}")
    if changed:
        raise typer.Exit(1)


@weights_app.command()
def fetch(
    names: Annotated[list[str], typer.Argument(help="Words of a file's name or use.")],
    weights_dir: options.WeightsDir = None,
) -> None:
    """Download files with a progress bar; started again, resumes. Nothing else ever downloads."""
    from spade_eval.weights.downloads import fetch as download
    from spade_eval.weights.table import choose

    folder = options.weights_dir_or_default(weights_dir)
    for file in choose(names):
        typer.echo(f"{download(file, folder)}: ok")
