# SPDX-License-Identifier: Apache-2.0
"""Printed numbers under the protocol that made them: a table each, so that none share a column.

Rows of `published.csv` that state no protocol stand beside their paper's tables alone.
"""

from collections.abc import Iterator

import pandas as pd

from spade_eval.errors import lookup
from spade_eval.papers.practices import PRACTICES
from spade_eval.reports.tables.published import DATASETS, published
from spade_eval.reports.tables.table import Cell, Column, Table, name_column

# Heading, unit and direction of each metric, in the order of columns; None: a fact, not a score.
_METRICS: dict[str, tuple[str, str, bool | None]] = {
    "mIoU": ("mIoU", "%", True),
    "pixel_accuracy": ("accuracy", "%", True),
    "FID": ("FID", "", False),
    "CLIP_score": ("CLIP score", "", True),
    "LPIPS_diversity": ("LPIPS among samples", "", None),
}


def printed_rows(dataset: str | None = None) -> pd.DataFrame:
    """Return the numbers that state a protocol, of one of the suite's datasets or of all."""
    rows = published()
    rows = rows[rows["protocol"] != ""]
    if dataset is None:
        return rows
    return rows[rows["dataset"] == lookup(DATASETS, dataset, "dataset of a printed number")]


def tables_by_protocol(dataset: str | None = None) -> Iterator[Table]:
    """Yield a table of each dataset and protocol, in the order in which they were collected."""
    for (name, protocol), rows in printed_rows(dataset).groupby(
        ["dataset", "protocol"], sort=False
    ):
        yield _table(str(name), str(protocol), rows)


def _table(dataset: str, protocol: str, rows: pd.DataFrame) -> Table:
    lines = list(dict.fromkeys(zip(rows["method"], rows["variant"], rows["table"], strict=True)))
    cells = {
        (method, variant, table, metric): Cell(text=printed, value=value)
        for method, variant, table, metric, printed, value in rows[
            ["method", "variant", "table", "metric", "printed", "value"]
        ].itertuples(index=False)
    }
    metrics = [name for name in _METRICS if name in set(rows["metric"])]
    own = f", --profile {protocol} of the suite" if protocol in PRACTICES else ""
    return Table(
        title=f"{dataset}, protocol: {protocol}{own}",
        columns=(
            name_column("method", [method for method, _, _ in lines]),
            name_column("which", [variant for _, variant, _ in lines]),
            name_column("table", [table for _, _, table in lines]),
            *(_column(metric, [cells.get((*line, metric), Cell()) for line in lines])
              for metric in metrics),
        ),
        notes=tuple(f"Source: {source}." for source in dict.fromkeys(rows["source"])),
    )  # fmt: skip


def _column(metric: str, cells: list[Cell]) -> Column:
    heading, unit, larger_is_better = _METRICS[metric]
    return Column(heading=heading, cells=tuple(cells), unit=unit, larger_is_better=larger_is_better)
