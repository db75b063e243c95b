# SPDX-License-Identifier: Apache-2.0
"""`spade-eval published`: numbers as papers printed them, a table for each protocol."""

from typing import Annotated

import typer

from spade_eval.cli.console.output import show


def published(
    dataset: Annotated[
        str | None,
        typer.Argument(metavar="DATASET", help="One of the suite's datasets [default: all]."),
    ] = None,
) -> None:
    """Print what papers of 2021 to 2025 printed, a table for each dataset and protocol."""
    from spade_eval.reports.tables.by_protocol import printed_rows, tables_by_protocol
    from spade_eval.reports.tables.formats import text_with_notes

    texts = [
        "\n".join([table.title, *text_with_notes(table)]) for table in tables_by_protocol(dataset)
    ]
    show("\n\n".join(texts), rows=printed_rows(dataset).to_dict("records"))
