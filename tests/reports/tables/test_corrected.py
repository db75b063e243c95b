# SPDX-License-Identifier: Apache-2.0
"""The column beside a distance: corrected values with intervals, or why there are none."""

import math
from pathlib import Path

import pandas as pd
from synthetic import group, job

from spade_eval.reports.measured.grouping import ProtocolGroup
from spade_eval.reports.statistics.floors import Floor
from spade_eval.reports.statistics.intervals import Uncertainty
from spade_eval.reports.statistics.stored_distances import NOT_CORRECTED, SAME_IMAGES, Corrected
from spade_eval.reports.tables.formats import as_text
from spade_eval.reports.tables.score_layout import scores, write_tables

METRIC = "fd_in_domain"
CORRECTED = {
    ("real", METRIC): Corrected(0.0, remark=SAME_IMAGES),
    ("oracle", METRIC): Corrected(-0.0012, 0.0, 0.0071),
    ("spade", METRIC): Corrected(1.4129, 1.3049, 1.5214),
    ("concat", METRIC): Corrected(math.nan, remark=NOT_CORRECTED),
}
KNOWN = Uncertainty({("spade", METRIC): (1.3049, 1.5214), ("spade", "miou"): (0.3, 0.4)}, CORRECTED)


def of_five_rows() -> ProtocolGroup:
    models = [item for name in ("spade", "concat", "other") for item in job(name)]
    return group([*job("real", "real"), *job("oracle", "oracle"), *models])


def test_the_column_stands_beside_the_value_in_every_form() -> None:
    plain, table = scores(of_five_rows()), scores(of_five_rows(), KNOWN)
    headings = [column.heading for column in table.columns]
    place = headings.index("FD (in-domain)")
    assert headings[place + 1] == "FD (in-domain), corrected"
    assert [column.heading for column in plain.columns] == [
        name for name in headings if "corrected" not in name
    ]
    shown = [table.columns[place + 1].printed(row) for row in range(5)]
    assert shown == [
        "0 (same images)",
        "0.00 [0.00, 0.01]",
        "1.41 [1.30, 1.52]",
        "not corrected: N <= d",
        "-",
    ]
    assert "1.41 [1.30, 1.52]" in as_text(table)
    for form in ("text", "file", "page"):
        assert table.columns[place + 1] in table.columns_of(form)  # type: ignore[arg-type]


def test_the_value_stays_as_it_was_recorded_and_has_no_interval_of_its_own() -> None:
    plain, table = scores(of_five_rows()), scores(of_five_rows(), KNOWN)
    (before,) = (column for column in plain.columns if column.heading == "FD (in-domain)")
    (after,) = (column for column in table.columns if column.heading == "FD (in-domain)")
    assert before == after
    (miou,) = (column for column in table.columns if column.heading == "mIoU")
    assert miou.cells[2].interval == "30.00 to 40.00"


def test_files_hold_every_digit(tmp_path: Path) -> None:
    write_tables(of_five_rows(), tmp_path, KNOWN)
    frame = pd.read_csv(tmp_path / "scores.csv").set_index("source")
    spade = frame.loc["spade"]
    assert (spade[f"{METRIC}_corrected"], spade[f"{METRIC}_corrected_low"]) == (1.4129, 1.3049)
    assert spade[f"{METRIC}_corrected_high"] == 1.5214
    assert frame.loc["concat", f"{METRIC}_corrected_remark"] == NOT_CORRECTED
    assert math.isnan(frame.loc["concat", f"{METRIC}_corrected"])
    assert math.isnan(frame.loc["other", f"{METRIC}_corrected"])
    write_tables(of_five_rows(), tmp_path)
    assert not any("corrected" in name for name in pd.read_csv(tmp_path / "scores.csv"))


def test_the_floor_stands_beside_real_and_nowhere_else(tmp_path: Path) -> None:
    floors = {METRIC: Floor(0.0512, Corrected(0.0031, 0.0, 0.0094))}
    known = Uncertainty(KNOWN.intervals, CORRECTED, floors)
    plain, table = scores(of_five_rows(), KNOWN), scores(of_five_rows(), known)
    assert table.num_rows == plain.num_rows + 1
    assert len(table.kinds) == table.num_rows
    for column, before in zip(table.columns, plain.columns, strict=True):
        assert (*column.cells[:1], *column.cells[2:]) == before.cells
    row = {column.heading: column.printed(1) for column in table.columns}
    assert row["source"] == "train photos"
    assert row["N"] == "500"
    assert row["FD (in-domain)"] == "0.05"
    assert row["FD (in-domain), corrected"] == "0.00 [0.00, 0.01]"
    assert row["mIoU"] == "-"
    # Files of every digit hold rows of records alone.
    assert table.frame.equals(plain.frame)
    # Without the photos' own row there is nothing to stand beside.
    models = group(list(job("spade")))
    assert scores(models, known).num_rows == 1
