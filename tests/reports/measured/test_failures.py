# SPDX-License-Identifier: Apache-2.0
"""Warnings stand above a table in every form: a segmenter that fails, rows that lack numbers."""

import dataclasses
from pathlib import Path

import pytest
from counted import write_run
from synthetic import group, job, run

from spade_eval.records import Measurement, RecordStore
from spade_eval.reports.measured.failures import warnings_of, without_verdict
from spade_eval.reports.run_report import report_text
from spade_eval.reports.statistics.intervals import Uncertainty, standings_of
from spade_eval.reports.statistics.sides import Side
from spade_eval.reports.tables.formats import as_markdown, as_text
from spade_eval.reports.tables.latex import as_latex
from spade_eval.reports.tables.leaderboard import leaderboard, leaderboard_table
from spade_eval.reports.tables.score_layout import scores


def with_miou(real: float, grey: float = 0.02, seed: int = 0) -> list[Measurement]:
    """A run whose photos and whose grey images get these scores."""
    items = [*run(["spade"], seed=seed), *job("grey", "grey", seed=seed)]
    values = {"real": real, "grey": grey}
    return [
        dataclasses.replace(item, value=values[item.source])
        if item.metric == "miou" and item.source in values
        else item
        for item in items
    ]


@pytest.mark.parametrize(
    ("real", "grey", "said"),
    [
        (0.001, 0.0, "mIoU of real is 0.1%, 10% are the least"),
        (0.0999, 0.0, "mIoU of real is 10.0%, 10% are the least"),
        (0.3, 0.3, "mIoU of real is 30.0%, a constant grey image reaches 30.0%"),
        (0.1, 0.05, ""),
        (0.9, 0.1, ""),
    ],
)
def test_a_segmenter_that_fails_on_photos_is_named(real: float, grey: float, said: str) -> None:
    warnings = warnings_of(group(with_miou(real, grey)).rows)
    assert len(warnings) == bool(said)
    assert all(said in warning for warning in warnings)


def test_the_warning_is_above_every_form_of_the_table(tmp_path: Path) -> None:
    failing = group(with_miou(0.001))
    table = scores(failing)
    for text in (
        as_text(table),
        as_markdown(table),
        as_latex(table, "tab:x"),
        report_text(failing, Uncertainty({}, {})),
    ):
        assert text.index("fails on the real photos") < text.index("source "), text
        assert text.casefold().count("warning:") == 1
    sound = scores(group(with_miou(0.9)))
    assert sound.warnings == ()
    assert "arning" not in as_text(sound) + as_markdown(sound) + as_latex(sound, "tab:x")


def test_every_seed_of_a_leaderboard_is_looked_at() -> None:
    board = leaderboard(group([*with_miou(0.9, seed=0), *with_miou(0.001, seed=1)]))
    assert leaderboard_table(board).warnings == tuple(board.attrs["warnings"])


def test_a_row_that_lacks_numbers_is_not_complete() -> None:
    """Whatever `job_size` says: the other rows of the protocol have more."""
    items = [*run(["spade"], classes=["sky", "sea"]), *job("mine", metrics=["miou", "fwiou"])]
    assert warnings_of(group(items).rows) == (
        "mine is not complete: 2 of 8 numbers are recorded, without acc_valid, acc_all, "
        "mean_accuracy, fd_in_domain and 2 more; start its run again.",
    )
    assert warnings_of(group(run(["spade"], classes=["sky", "sea"])).rows) == ()


def test_diversity_is_of_generators_alone() -> None:
    diverse = dataclasses.replace(job("spade")[0], metric="lpips", num_samples=10)
    items = [*run(["spade"]), diverse]
    assert warnings_of(group(items).rows) == ()


def test_the_label_map_in_its_own_colours_is_a_floor_too() -> None:
    items = [*with_miou(0.4), *job("label colours", "label colours")]
    above = [
        dataclasses.replace(item, value=0.5)
        if (item.metric, item.source) == ("miou", "label colours")
        else item
        for item in items
    ]
    (warning,) = warnings_of(group(above).rows)
    assert "the label map in its own colours reaches 50.0%" in warning


@pytest.mark.parametrize(("real", "ranked"), [(0.9, True), (0.05, False)])
def test_a_segmenter_that_fails_ranks_no_row(real: float, ranked: bool, tmp_path: Path) -> None:
    write_run(tmp_path, {"real": 0.05, "mine": 0.3, "bad": 0.7})
    measured = [
        dataclasses.replace(item, value=real)
        if (item.source, item.metric) == ("real", "miou")
        else item
        for item in RecordStore(tmp_path / "records.jsonl")
    ]
    rows = group(measured).rows
    sides = {row.title: Side.open(row, tmp_path) for row in rows if row.title != "real"}
    standings = standings_of(rows, sides)
    assert ("miou" in standings) is ranked
    assert standings["fd_in_domain"].marked == {"mine"}, "a distance does not ask its classes"


def test_cheats_compete_with_nobody(tmp_path: Path) -> None:
    write_run(tmp_path, {"real": 0.05, "mine": 0.3, "bad": 0.7, "cheat": 0.1})
    measured = [
        dataclasses.replace(item, source_kind="cheat") if item.source == "cheat" else item
        for item in RecordStore(tmp_path / "records.jsonl")
    ]
    rows = group(measured).rows
    sides = {row.title: Side.open(row, tmp_path) for row in rows if row.title != "real"}
    assert standings_of(rows, sides)["miou"].marked == {"mine"}


def test_few_copies_are_no_merit() -> None:
    assert {"memorised", "leaked"} <= without_verdict(group(with_miou(0.9)).rows)
