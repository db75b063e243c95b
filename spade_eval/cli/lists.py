# SPDX-License-Identifier: Apache-2.0
"""`spade-eval models`: the generators and their sizes, or what paper and release disagree on."""

from pathlib import Path
from typing import Annotated

import typer


def models(
    name: Annotated[
        str | None, typer.Argument(help="A generator; with --diff also a method [default: all].")
    ] = None,
    diff: Annotated[
        bool, typer.Option("--diff", help="Show where `paper` and `release` settings differ.")
    ] = False,
    csv: Annotated[Path | None, typer.Option(help="Also write the list to this file.")] = None,
) -> None:
    """List the generators: row of the paper, parameters per dataset, printed count."""
    from spade_eval.model_list import listed_models, settings_differences, table, write_csv

    if diff:
        typer.echo("\n".join(settings_differences(name)))
        return
    found = listed_models(() if name is None else (name,))
    typer.echo("\n".join(table(found)))
    if csv is not None:
        write_csv(found, csv)
        typer.echo(f"\nwritten: {csv}")
