# SPDX-License-Identifier: Apache-2.0
"""Numbers as papers print them, each with its source.

`published.csv` keeps every row as it was collected, in the paper's own units. Rows with
`verified` = no were recalled and never seen in a copy of the paper: they are left out unless asked
for, and are then called "recalled, unverified" wherever they are shown.
"""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from spade_eval.papers.publications import Paper
from spade_eval.papers.tables import PaperTable

FILE = Path(__file__).parents[1] / "published.csv"
RECALLED = "recalled, unverified"
# What identifies a number; two sources of the same number are joined into one row.
KEY = ("paper", "table", "dataset", "method", "variant", "metric")
# Our name of a dataset -> the papers'.
DATASETS = {
    "cocostuff": "COCO-Stuff",
    "ade20k": "ADE20K",
    "ade20k_outdoor": "ADE20K-outdoor",
    "cityscapes": "Cityscapes",
}
# Our metric -> the papers'. Which accuracy a paper printed depends on paper and dataset.
METRICS = {
    "miou": "mIoU",
    "fid": "FID",
    # Of a run with several FIDs, those that may have made the paper's.
    "fid_legacy-2019a": "FID",
    "fid_pytorch-fid": "FID",
    "lpips_diversity": "LPIPS_diversity",
}
_ACCURACY = "pixel_accuracy"


@cache
def _all_rows() -> pd.DataFrame:
    rows = pd.read_csv(FILE, dtype=str, keep_default_na=False)
    rows = rows.rename(columns={"value": "printed", "unit_or_direction": "unit"})
    rows["year"] = rows["year"].astype("int64")
    rows["verified"] = rows["verified"] == "yes"
    values = pd.to_numeric(rows["printed"], errors="coerce").astype("float64")
    rows.insert(list(rows.columns).index("printed"), "value", values)
    return rows


def published(*, unverified: bool = False) -> pd.DataFrame:
    """Return a row a number: KEY, year, value (NaN: none is printed), printed, unit, source.

    `protocol` is that of numbers from 2021 on, a profile's name or words; "" where none is stated.
    Values are in the unit that the paper prints. `unverified` adds the recalled numbers,
    which the column `verified` marks.
    """
    rows = _all_rows()
    if not unverified:
        rows = rows[rows["verified"]]
    rows = rows.sort_values("verified", ascending=False, kind="stable")  # verified values first
    joined = rows.groupby(list(KEY), sort=False, as_index=False).agg(
        year=("year", "first"),
        value=("value", "first"),
        printed=("printed", "first"),
        unit=("unit", "first"),
        source=("source", lambda sources: "; ".join(dict.fromkeys(sources))),
        verified=("verified", "first"),
        protocol=("protocol", "first"),
    )
    return joined.reset_index(drop=True)


def paper_metric(paper: Paper, metric: str, dataset: str) -> str | None:
    """Return a paper's name of our metric on one of its datasets; None where it printed none."""
    if metric in ("acc_all", "acc_valid"):
        counted = "acc_all" if dataset in paper.counts_unlabelled else "acc_valid"
        return _ACCURACY if metric == counted else None
    return METRICS.get(metric)


def paper_dataset(dataset: str) -> str | None:
    """Return the paper's name of a recorded dataset, whose list stands in brackets behind it."""
    return DATASETS.get(dataset.partition(" (")[0])


class PaperNumber(NamedTuple):
    """One printed number."""

    value: float  # in the paper's unit; NaN where the paper prints "N/A"
    source: str
    verified: bool


def paper_numbers(
    table: PaperTable, *, unverified: bool = False
) -> dict[tuple[str, str, str, str], PaperNumber]:
    """Return the numbers of one table of a paper by (dataset, method, variant, metric).

    Those of rows that quote another paper are of its own main table.
    """
    quoted = {
        row.method: (row.quoted.numbers, row.quoted.main_table)
        for row in (*table.rows, *table.later)
        if row.quoted is not None
    }
    own = (table.paper.numbers, table.published_as or table.name)
    rows = published(unverified=unverified)
    shown = [
        (paper, number) == quoted.get(method, own)
        for paper, number, method in zip(rows["paper"], rows["table"], rows["method"], strict=True)
    ]
    return {
        (line.dataset, line.method, line.variant, line.metric): PaperNumber(
            line.value, line.source, line.verified
        )
        for line in rows[shown].itertuples()
    }
