# SPDX-License-Identifier: Apache-2.0
"""The published numbers are those that were collected, each once, and recalled ones are apart."""

import csv
from pathlib import Path

import pytest

from spade_eval.papers.publications import PARK_2019
from spade_eval.papers.tables import PAPER_TABLES, PaperTable, paper_table_called
from spade_eval.reports.tables.published import (
    DATASETS,
    FILE,
    KEY,
    paper_dataset,
    paper_metric,
    paper_numbers,
    published,
)

SHARED = Path(__file__).resolve().parents[4] / "shared" / "published"


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_file_is_the_collected_rows() -> None:
    if not SHARED.is_dir():
        pytest.skip("the collected tables of published numbers are not on this machine")
    collected = [row for path in SHARED.glob("*.csv") for row in _rows(path)]
    ours = [
        {name: value for name, value in row.items() if name != "protocol"} for row in _rows(FILE)
    ]
    assert sorted(map(str, ours[: len(collected)])) == sorted(map(str, collected))
    assert len(collected) > 400
    # Later ones were collected with their protocol.
    assert all(row["protocol"] for row in _rows(FILE)[len(collected) :])


def test_every_row_has_a_source_and_a_table() -> None:
    for row in _rows(FILE):
        assert row["source"]
        assert row["table"]
        assert row["verified"] in ("yes", "no")


@pytest.mark.parametrize("unverified", [False, True])
def test_join_keys_are_unique(unverified: bool) -> None:
    rows = published(unverified=unverified)
    assert not rows.duplicated(list(KEY)).any()


def test_two_sources_of_one_number_agree() -> None:
    found: dict[tuple[str, ...], set[str]] = {}
    for row in _rows(FILE):
        found.setdefault(tuple(row[name] for name in KEY), set()).add(row["value"])
    assert [key for key, values in found.items() if len(values) > 1] == []


def test_recalled_numbers_are_off_by_default() -> None:
    assert published()["verified"].all()
    everything = published(unverified=True)
    assert 0 < (~everything["verified"]).sum() < len(everything)
    of_a_paper = everything[everything["paper"] == "SEAN (arXiv 1911.12861)"]
    assert (~of_a_paper["verified"]).any()
    assert len(published().query("paper == 'SEAN (arXiv 1911.12861)'")) < len(of_a_paper)


def test_all_cells_of_table_4_are_verified() -> None:
    table = paper_table_called("4")
    assert len(paper_numbers(table)) == len(paper_numbers(table, unverified=True)) == 33


def test_numbers_are_those_of_the_paper() -> None:
    table = paper_numbers(paper_table_called("1"))
    assert table["COCO-Stuff", "SPADE", "", "mIoU"].value == 37.4
    assert table["Cityscapes", "SPADE", "", "pixel_accuracy"].value == 81.9
    assert table["ADE20K", "SIMS", "", "FID"].value != table["ADE20K", "SIMS", "", "FID"].value
    table = paper_numbers(paper_table_called("3"))
    assert table["all", "pix2pixHD++ w/ SPADE", "", "generator_parameters"].value == 237


PRINTED = {name: table for name, table in PAPER_TABLES.items() if table.paper.numbers}


@pytest.mark.parametrize("table", PRINTED.values(), ids=PRINTED)
def test_every_row_of_a_table_joins_its_numbers(table: PaperTable) -> None:
    numbers = paper_numbers(table, unverified=True)
    keys = [(row.method, row.variant) for row in table.rows]
    assert len(set(keys)) == len(keys)
    joined = {(method, variant) for _, method, variant, _ in numbers}
    joined = {(method, variant) for method, variant in joined if "as quoted by" not in variant}
    assert set(keys) <= joined
    assert joined - set(keys) <= {(row.method, row.variant) for row in table.later}


def test_names_of_datasets_and_metrics() -> None:
    names = set(published()[lambda rows: rows["paper"] == PARK_2019.numbers]["dataset"])
    assert set(DATASETS.values()) <= names
    assert paper_dataset("ade20k_outdoor (list 1a2b)") == "ADE20K-outdoor"
    assert paper_dataset("scenes") is None
    accuracy = paper_metric(PARK_2019, "acc_all", "Cityscapes")
    assert accuracy == paper_metric(PARK_2019, "acc_valid", "ADE20K") == "pixel_accuracy"
    assert paper_metric(PARK_2019, "acc_valid", "Cityscapes") is None
    assert paper_metric(PARK_2019, "fid_clean-fid", "ADE20K") is None
