# SPDX-License-Identifier: Apache-2.0
"""`spade-eval report`: tables and plots of a run folder, from its records alone."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path, typer.Argument(help="Run folder, as `benchmark` prints it.")],
) -> None:
    """Print the table of a run again and rewrite its CSV files and plots."""
    show_report(run)


def show_report(run: Path) -> None:
    """Write the report, print the table, and last where everything is."""
    from reports.run_report import write_report

    written = write_report(run)
    typer.echo(written.text)
    typer.echo(f"\nEverything of this run is in {run}:")
    for path in written.paths:
        typer.echo(f"  {path.relative_to(run)}")
