# SPDX-License-Identifier: Apache-2.0
"""Tables of the web page: what each cell says, sorts by and comes from."""

import math
from pathlib import Path
from typing import Any

import html_runs
import pytest
import synthetic

from spade_eval.papers.tables import paper_table_called
from spade_eval.reports.comparison_report import comparison_section
from spade_eval.reports.html.details import Details
from spade_eval.reports.html.report_data import ReportData
from spade_eval.reports.measured.grouping import by_protocol
from spade_eval.reports.measured.run_data import RunData
from spade_eval.reports.statistics.differences import (
    ClassDifference,
    Comparison,
    Difference,
    ImageDifference,
    Pair,
)
from spade_eval.reports.tables.paper_layout import measured_table
from spade_eval.reports.tables.paper_tables import paper_table
from spade_eval.reports.tables.table import Cell, Table

NAN = math.nan


def report_of(measurements: list[Any]) -> ReportData:
    run = RunData(
        folder=Path("run"), name="run", config=html_runs.config(), measurements=tuple(measurements)
    )
    return html_runs.report_of([run])


def headings_of(table: Table) -> list[str]:
    return [column.heading for column in table.columns_of("page")]


def rows_of(table: Table) -> list[tuple[Cell, ...]]:
    return list(zip(*(column.cells for column in table.columns_of("page")), strict=True))


def facts_of(details: Details, cell: Cell) -> dict[str, str]:
    place = details.place_of(cell.origin)
    stored = details.as_json()
    assert place is not None
    (detail,) = stored["details"][place]
    return dict(stored["facts"][place] for place in detail["facts"])


def test_only_what_differs_is_marked() -> None:
    own = "trained without the perceptual loss"
    found = [
        *synthetic.job("spade", notes=(synthetic.IN_DOMAIN, own)),
        *synthetic.job("concat", notes=(synthetic.IN_DOMAIN,)),
    ]
    report = report_of(found)
    (section,) = report.sections
    table = section.tables[0]
    marked = {row[0].text: {cell.marks for cell in row if cell.value} for row in rows_of(table)}
    # Distances of `synthetic` carry a note of their own, which not every number has.
    own_mark = next(mark for mark, text in table.page_notes if text == own)
    assert any(own_mark in marks.split() for marks in marked["spade"])
    assert not any(own_mark in marks.split() for marks in marked["concat"])
    assert ("", synthetic.IN_DOMAIN) in table.page_notes


def test_facts_beside_the_scores_have_a_provenance() -> None:
    report = report_of(synthetic.job("spade"))
    details = Details(report.runs)
    (section,) = report.sections
    (row,) = rows_of(section.tables[0])
    names = headings_of(section.tables[0])
    for name, value in (("parameters", 1.234567), ("steps", 400), ("N", 500)):
        cell = row[names.index(name)]
        assert cell.value == pytest.approx(value)
        assert facts_of(details, cell)["SHA-256 of the source"]


def test_what_is_no_number_is_text_on_the_page() -> None:
    """The script takes a column of numbers by its values, and would lose a warning in words."""
    (section,) = report_of(synthetic.job("spade", segmenter_weights="filled")).sections
    are_numbers = {item.heading: item.is_number for item in section.tables[0].columns_of("page")}
    assert not are_numbers["weights"]
    assert not are_numbers["source"]
    assert are_numbers["steps"]
    assert are_numbers["mIoU"]


def test_a_mean_over_seeds_names_every_record() -> None:
    found = [item for seed in (0, 1) for item in synthetic.job("spade", seed=seed)]
    report = report_of(found)
    details = Details(report.runs)
    asked = paper_table_called("3")
    frame = paper_table(asked, by_protocol(found))
    table = measured_table(frame, found)
    row = next(row for row in rows_of(table) if "decoder w/ SPADE" in [cell.text for cell in row])
    cell = row[headings_of(table).index("mIoU")]
    assert cell.value == pytest.approx(
        100 * float(frame.loc[frame["model"] == "spade", "miou"].iloc[0])
    )
    assert cell.spread.startswith("± ")
    place = details.place_of(cell.origin)
    assert place is not None
    assert len(details.as_json()["details"][place]) == 2


def test_published_numbers_name_their_source() -> None:
    asked = paper_table_called("1")
    frame = paper_table(asked, [])
    report = report_of(synthetic.job("spade"))
    details = Details(report.runs)
    table = measured_table(frame)
    columns = headings_of(table)
    assert "mIoU difference" not in columns, "columns without any number are left out"
    wanted = frame.query("dataset == dataset.iloc[0] and row == 'SPADE'").iloc[0]
    row = next(
        row for row in rows_of(table)
        if [cell.text for cell in row][:2] == [wanted["dataset"], "SPADE"]
    )  # fmt: skip
    cell = row[columns.index("mIoU paper")]
    assert cell.value == pytest.approx(100 * wanted["miou_paper"])
    assert facts_of(details, cell)["published in"] == wanted["source"]


@pytest.fixture
def comparison() -> Comparison:
    scores = {"subject": 0.5, "baseline": 0.4, "difference": 0.1}
    about = {"metric": "miou", "label": "mIoU", "unit": "%", "larger_is_better": True}
    power = {"standard_error": 0.01, "num_images": 500, "smallest": 0.028, "p_value": 0.01}
    pair = Pair(
        subject="mine",
        baseline="spade",
        differences=(
            Difference(
                **about,
                **scores,
                **power,
                corrected=0.1,
                low=0.05,
                high=0.15,
                method="",
                verdict="better",
                needed=NAN,
            ),
            Difference(
                **about,
                **scores,
                **power,
                corrected=0.1,
                low=NAN,
                high=NAN,
                method="",
                verdict="no interval",
                needed=4400,
            ),
        ),
        classes=(
            ClassDifference(
                name="sky", **scores, low=-0.1, high=0.2, p_value=0.3, verdict="no difference shown"
            ),
        ),
        images=(ImageDifference(name="val_000", subject=0.9, baseline=0.1, difference=0.8),),
    )
    return Comparison(title="mine against spade", subject="mine", pairs=(pair,), notes=("a note",))


def texts_of(table: Table) -> list[list[str]]:
    return [[cell.text for cell in row] for row in rows_of(table)]


def test_a_comparison_says_its_verdict_in_words(comparison: Comparison) -> None:
    details = Details([])
    metrics, classes, images = comparison_section(comparison).tables
    assert texts_of(metrics) == [
        ["mIoU, %", "50.00", "40.00", "+10.00", "+5.00", "+15.00", "better", "2.80", "-", "-"],
        ["mIoU, %", "50.00", "40.00", "+10.00", "-", "-", "no interval", "2.80", "4,400", "-"],
    ]
    assert headings_of(metrics)[1:3] == ["mine", "spade"]
    assert metrics.page_notes == [("", "a note")]
    assert texts_of(classes)[0][-1] == "no difference shown"
    assert texts_of(images) == [["val_000", "90.00", "10.00", "+80.00"]]
    assert rows_of(images)[0][0].image == "val_000"
    for table in (metrics, classes, images):
        for cell in (cell for row in rows_of(table) for cell in row if cell.value is not None):
            assert facts_of(details, cell)["baseline"] == "spade"
