# SPDX-License-Identifier: Apache-2.0
"""Printed numbers under their protocols: a table each, recalled ones nowhere."""

import pytest

from spade_eval.cli import main
from spade_eval.errors import UserError
from spade_eval.papers.practices import PRACTICES
from spade_eval.reports.tables.by_protocol import printed_rows, tables_by_protocol
from spade_eval.reports.tables.published import DATASETS, published
from spade_eval.reports.tables.table import Table

EVERY = list(tables_by_protocol())


def shown(title: str, tables: list[Table]) -> dict[tuple[str, ...], dict[str, str]]:
    """Each line of one table by method and variant, with its printed numbers by heading."""
    (table,) = [item for item in tables if item.title.startswith(title)]
    method, which, printed_in, *numbers = table.columns
    names = [
        tuple(column.cells[index].text for column in (method, which, printed_in))
        for index in range(table.num_rows)
    ]
    assert len(set(names)) == len(names)
    return {
        (name[0], name[1]): {column.heading: column.cells[index].text for column in numbers}
        for index, name in enumerate(names)
    }


def test_a_table_has_one_dataset_and_one_protocol_and_no_number_is_lost() -> None:
    titles = [table.title for table in EVERY]
    pairs = printed_rows()[["dataset", "protocol"]].drop_duplicates()
    assert len(set(titles)) == len(titles) == len(pairs)
    cells = [cell for table in EVERY for column in table.columns[3:] for cell in column.cells]
    assert sum(cell.value is not None for cell in cells) == len(printed_rows())


def test_one_method_under_three_protocols_is_in_three_tables() -> None:
    """ControlNet on ADE20K: FID 31.2 in PLACE and 33.3 in ControlNet++, which re-tests differ."""
    tables = list(tables_by_protocol("ade20k"))
    place = shown("ADE20K, protocol: freestylenet", tables)
    assert place["ControlNet", ""] == {"mIoU": "36.9", "FID": "31.2"}
    again = place["FreestyleNet", "released weights and script"]
    assert (place["FreestyleNet", ""], again) == (
        {"mIoU": "41.9", "FID": "25.0"}, {"mIoU": "37.0", "FID": "26.2"},
    )  # fmt: skip
    theirs = shown("ADE20K, protocol: controlnet-plus-plus, --profile", tables)
    assert theirs["ControlNet v1.1", ""] == {"mIoU": "32.55", "FID": "33.28", "CLIP score": "-"}
    again = theirs["ControlNet++", "authors' re-test of the released weights"]
    assert again["CLIP score"] == "31.379"


def test_the_independent_re_evaluation_is_by_regime_of_masks() -> None:
    tables = list(tables_by_protocol("cocostuff"))
    regimes = ("all masks", "1 to 3 masks of at least 5%", "all masks of at least 5%")
    oasis = [
        shown(title, tables)["OASIS", ""]
        for title in [f"COCO-Stuff, protocol: Dancette's own: {name}" for name in regimes[1:]]
    ]
    assert oasis == [
        {"mIoU": "41.4", "FID": "46.8", "CLIP score": "-"},
        {"mIoU": "53.7", "FID": "18.2", "CLIP score": "-"},
    ]
    (whole,) = [item for item in tables if item.title.endswith(f": {regimes[0]}")]
    assert whole.num_rows == 7


def test_recalled_numbers_and_those_without_a_protocol_are_left_out() -> None:
    rows = printed_rows()
    assert rows["verified"].all()
    assert "ALDM" not in set(rows["method"]), "its numbers are recalled alone"
    assert rows["source"].str.len().min() > 0
    assert len(rows) < len(published())
    assert set(PRACTICES) & set(rows["protocol"]) == {
        "freestylenet", "controlnet-plus-plus", "scdm",
    }  # fmt: skip


def test_the_command_prints_them(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["published", "cityscapes"])
    assert not ended.value.code
    out = capsys.readouterr().out
    assert "Cityscapes, protocol: SCP-Diff's own (no evaluation code released)" in out
    assert "67.92     94.65  10.53" in out
    assert "Note: Source: README of GitHub AIR-DISCOVER/SCP-Diff-Toolkit" in out


def test_a_dataset_without_printed_numbers_is_answered_with_those_that_have_some() -> None:
    with pytest.raises(UserError, match=", ".join(sorted(DATASETS))):
        list(tables_by_protocol("scenes"))
