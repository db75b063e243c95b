# SPDX-License-Identifier: Apache-2.0
"""Facts of rows: when they are columns, and rows of a report that are chosen by them."""

import csv
from pathlib import Path

import pytest
from synthetic import group, job

from spade_eval.cli import main
from spade_eval.errors import UserError
from spade_eval.records import Measurement, RecordStore
from spade_eval.reports.measured.row_facts import FACTS, ROW_FACTS
from spade_eval.reports.measured.run_data import RunData
from spade_eval.reports.measured.where import Condition, rows_where
from spade_eval.reports.tables.leaderboard import leaderboard, leaderboard_table
from spade_eval.reports.tables.score_layout import scores


def records() -> list[Measurement]:
    return [
        *job("real", "real"),
        *job("spade", text_input="none", trained_with_segmenter="none"),
        *job("control", "diffusers", text_input="classes", guidance=7.5, sampling_steps=20),
        *job("folder", "images"),
        *job("stated", "images", text_input="none", guidance=2.0, trained_with_segmenter="scoring"),
    ]


def run(measurements: list[Measurement]) -> RunData:
    return RunData(folder=Path(), name="run", config=None, measurements=tuple(measurements))


def left(*conditions: str) -> list[str]:
    (kept,), _ = rows_where([run(records())], [Condition.parse(text) for text in conditions])
    return [row.source for row in kept.groups[0].rows]


@pytest.mark.parametrize(
    ("conditions", "sources"),
    [
        (["text_input=none"], ["spade", "stated"]),
        (["text_input!=none"], ["control", "folder"]),
        (["text_input=not stated"], ["folder"]),
        (["guidance<=2"], ["stated"]),
        (["guidance=7.5"], ["control"]),
        (["trained_with_segmenter!=scoring"], ["spade", "control", "folder"]),
        (["text_input=none", "source_kind=images"], ["stated"]),
        (["source=folder"], ["folder"]),
        (["real_miou>0.5"], ["spade", "control", "folder", "stated"]),
    ],
)
def test_rows_are_chosen_by_their_facts(conditions: list[str], sources: list[str]) -> None:
    assert left(*conditions) == ["real", *sources]


def test_what_is_shown_is_said_and_nothing_left_is_refused() -> None:
    _, said = rows_where([run(records())], [Condition.parse("guidance>5")])
    assert said == "Shown are rows where guidance>5: 1 of 4, besides the bounds."
    with pytest.raises(UserError, match=r"--where guidance>9: none of 4 rows is meant"):
        left("guidance>9")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("text_input", "expected FIELD=VALUE"),
        ("=none", "expected FIELD=VALUE"),
        ("textinput=none", "did you mean text_input"),
        ("guidance<much", "expected a number behind <"),
    ],
)
def test_other_conditions_are_refused(text: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        Condition.parse(text)


def test_facts_are_columns_where_a_row_has_them() -> None:
    def headings(measurements: list[Measurement]) -> set[str]:
        tables = [scores(group(measurements)), leaderboard_table(leaderboard(group(measurements)))]
        found = [{column.heading for column in table.columns} for table in tables]
        titles = {fact.title for fact in ROW_FACTS}
        assert found[0] & titles == found[1] & titles
        return found[0] & titles

    own = [*job("real", "real"), *job("spade", text_input="none", trained_with_segmenter="none")]
    assert headings(own) == set()
    assert headings([*own, *job("folder", "images")]) == set()
    assert headings(records()) == {
        "text input", "trained with segmenter", "guidance", "sampling steps",
    }  # fmt: skip


def test_what_nobody_states_is_said_in_table_and_frame() -> None:
    table = scores(group(records()))
    rows = [cell.text for cell in table.columns[0].cells]
    texts = {
        column.heading: dict(zip(rows, (cell.text for cell in column.cells), strict=True))
        for column in table.columns
    }
    assert texts["text input"] == {
        "real": "-", "spade": "none", "control": "classes", "folder": "not stated",
        "stated": "none",
    }  # fmt: skip
    assert texts["guidance"]["folder"] == "not stated"
    assert texts["guidance"]["spade"] == "-"
    assert texts["trained with segmenter"]["control"] == "not stated"
    frame = table.frame.set_index("source")
    assert frame.loc["folder", "text_input"] == "not stated"
    assert frame.loc["spade", "real_miou"] == frame.loc["real", "miou"]
    assert set(FACTS) <= set(leaderboard(group(records())).columns)


def test_report_where_has_a_folder_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    RecordStore(tmp_path / "run" / "records.jsonl").append(job("real", "real"))
    RecordStore(tmp_path / "run" / "records.jsonl").append(
        [*job("a", "images", text_input="none")],
    )
    RecordStore(tmp_path / "run" / "records.jsonl").append([*job("b", "images")])
    with pytest.raises(SystemExit) as ended:
        main(["report", str(tmp_path / "run"), "--where", "text_input=none"])
    told = capsys.readouterr()
    assert not ended.value.code, told.err
    assert "Shown are rows where text_input=none: 1 of 2" in told.out
    assert not (tmp_path / "run" / "tables").exists()
    with (tmp_path / "leaderboard-where" / "leaderboard.csv").open(newline="") as file:
        assert [row["row"] for row in csv.DictReader(file)] == ["real", "a"]
