# SPDX-License-Identifier: Apache-2.0
"""Tables of the web page: what each cell says, sorts by and comes from."""

from pathlib import Path
from typing import Any

import html_runs
import pytest
import synthetic

from spade_eval.paper_tables import paper_table_called
from spade_eval.reports.html.comparisons import comparison_section
from spade_eval.reports.html.details import Details
from spade_eval.reports.html.paper import paper_section
from spade_eval.reports.html.report_data import ReportData
from spade_eval.reports.html.sections import sections
from spade_eval.reports.html.views import Cell, Column, Table, TableRow, decimals_of, number, ranked
from spade_eval.reports.measured.grouping import by_protocol
from spade_eval.reports.measured.run_data import RunData
from spade_eval.reports.statistics.comparison import (
    ClassDifference,
    Comparison,
    Difference,
    ImageDifference,
    Pair,
)
from spade_eval.reports.tables.paper_tables import paper_table


def report_of(measurements: list[Any]) -> ReportData:
    run = RunData(
        folder=Path("run"), name="run", config=html_runs.config(), measurements=tuple(measurements)
    )
    return html_runs.report_of([run])


def facts_of(details: Details, cell: Cell) -> dict[str, str]:
    stored = details.as_json()
    assert cell.detail is not None
    (detail,) = stored["details"][cell.detail]
    return dict(stored["facts"][place] for place in detail["facts"])


@pytest.mark.parametrize(
    ("value", "unit", "decimals", "expected"),
    [
        (0.51234, "%", 2, ("51.23", 51.234)),
        (0.5, "", 4, ("0.5000", 0.5)),
        (None, "%", 2, ("-", None)),
        (float("nan"), "", 2, ("-", None)),
    ],
)
def test_numbers_in_print(
    value: float | None, unit: str, decimals: int, expected: tuple[str, float | None]
) -> None:
    text, shown = number(value, unit, decimals)
    assert (text, shown) == (expected[0], pytest.approx(expected[1]))


def test_small_distances_have_more_decimals() -> None:
    assert decimals_of([0.03, None, float("nan")], "") == 4
    assert decimals_of([0.03, 1.2], "") == 2
    assert decimals_of([0.03], "%") == 2


def test_best_and_second_compete_among_models_with_ties() -> None:
    columns = [Column(title="FID", is_number=True, larger_is_better=False)]
    values = [(1.0, True), (3.0, False), (2.0, False), (2.0, False), (None, False), (4.0, False)]
    rows = [
        TableRow(cells=(Cell(value=value),), is_reference=reference) for value, reference in values
    ]
    ranks = [row.cells[0].rank for row in ranked(rows, columns)]
    assert ranks == ["", "second", "best", "best", "", ""]


def test_one_model_alone_is_not_the_best() -> None:
    columns = [Column(title="FID", is_number=True, larger_is_better=False)]
    rows = [TableRow(cells=(Cell(value=1.0),)), TableRow(cells=(Cell(),))]
    assert [row.cells[0].rank for row in ranked(rows, columns)] == ["", ""]


def test_only_what_differs_is_marked() -> None:
    own = "trained without the perceptual loss"
    found = [
        *synthetic.job("spade", notes=(synthetic.IN_DOMAIN, own)),
        *synthetic.job("concat", notes=(synthetic.IN_DOMAIN,)),
    ]
    report = report_of(found)
    (section,) = sections(report, Details(report.runs))
    table = section.tables[0]
    marked = {
        row.cells[0].text: {cell.marks for cell in row.cells if cell.value} for row in table.rows
    }
    # Distances of `synthetic` carry a note of their own, which not every number has.
    own_mark = next(mark for mark, text in table.notes if text == own)
    assert any(own_mark in marks.split() for marks in marked["spade"])
    assert not any(own_mark in marks.split() for marks in marked["concat"])
    assert ("", synthetic.IN_DOMAIN) in table.notes


def test_facts_beside_the_scores_have_a_provenance() -> None:
    report = report_of(synthetic.job("spade"))
    details = Details(report.runs)
    (section,) = sections(report, details)
    (row,) = section.tables[0].rows
    names = [column.title for column in section.tables[0].columns]
    for name, value in (("parameters", 1.234567), ("steps", 400), ("N", 500)):
        cell = row.cells[names.index(name)]
        assert cell.value == pytest.approx(value)
        assert facts_of(details, cell)["SHA-256 of the source"]


def test_a_mean_over_seeds_names_every_record() -> None:
    found = [item for seed in (0, 1) for item in synthetic.job("spade", seed=seed)]
    report = report_of(found)
    details = Details(report.runs)
    asked = paper_table_called("3")
    frame = paper_table(asked, by_protocol(found))
    (table,) = paper_section(asked, frame, report, details).tables
    names = [column.title for column in table.columns]
    row = next(row for row in table.rows if "decoder w/ SPADE" in [c.text for c in row.cells])
    cell = row.cells[names.index("mIoU")]
    assert cell.value == pytest.approx(
        100 * float(frame.loc[frame["model"] == "spade", "miou"].iloc[0])
    )
    assert cell.extra.startswith("± ")
    assert cell.detail is not None
    assert len(details.as_json()["details"][cell.detail]) == 2


def test_published_numbers_name_their_source() -> None:
    asked = paper_table_called("1")
    frame = paper_table(asked, [])
    report = report_of(synthetic.job("spade"))
    details = Details(report.runs)
    (table,) = paper_section(asked, frame, report, details).tables
    columns = [column.title for column in table.columns]
    assert "difference" not in columns, "columns without any number are left out"
    wanted = frame.query("dataset == dataset.iloc[0] and row == 'SPADE'").iloc[0]
    row = next(
        row for row in table.rows
        if [cell.text for cell in row.cells][:2] == [wanted["dataset"], "SPADE"]
    )  # fmt: skip
    cell = row.cells[columns.index("paper")]
    assert cell.value == pytest.approx(100 * wanted["miou_paper"])
    assert facts_of(details, cell)["published in"] == wanted["source"]


@pytest.fixture
def comparison() -> Comparison:
    scores = {"subject": 0.5, "baseline": 0.4, "difference": 0.1}
    about = {"metric": "miou", "label": "mIoU", "unit": "%", "larger_is_better": True}
    pair = Pair(
        subject="mine",
        baseline="spade",
        differences=(
            Difference(**about, **scores, low=0.05, high=0.15, method="", verdict="better"),
            Difference(**about, **scores, low=None, high=None, method="", verdict="no interval"),
        ),
        classes=(
            ClassDifference(
                name="sky", **scores, low=-0.1, high=0.2, verdict="no difference shown"
            ),
        ),
        images=(
            ImageDifference(
                name="val_000", subject=0.9, baseline=0.1, difference=0.8, subject_path=None,
                baseline_path=None,
            ),
        ),
    )  # fmt: skip
    return Comparison(title="mine against spade", subject="mine", pairs=(pair,), notes=("a note",))


def texts_of(table: Table) -> list[list[str]]:
    return [[cell.text for cell in row.cells] for row in table.rows]


def test_a_comparison_says_its_verdict_in_words(comparison: Comparison) -> None:
    details = Details([])
    metrics, classes, images = comparison_section(comparison, details).tables
    assert texts_of(metrics) == [
        ["spade", "mIoU, %", "50.00", "40.00", "+10.00", "5.00", "15.00", "better"],
        ["spade", "mIoU, %", "50.00", "40.00", "+10.00", "-", "-", "no interval"],
    ]
    assert metrics.notes == (("", "a note"),)
    assert texts_of(classes)[0][-1] == "no difference shown"
    assert texts_of(images) == [["val_000", "90.00", "10.00", "+80.00"]]
    assert images.rows[0].cells[0].image == "val_000"
    for table in (metrics, classes, images):
        for cell in (cell for row in table.rows for cell in row.cells if cell.value is not None):
            assert facts_of(details, cell)["baseline"] == "spade"
