# SPDX-License-Identifier: Apache-2.0
"""Plans say what a budget will show: from records, or from assumptions that are named."""

import json
import math
from pathlib import Path

import pytest
from counted import write_run
from synthetic import group, job

from spade_eval.cli import main
from spade_eval.metrics.count_influence import count_influence
from spade_eval.papers.tables import paper_table_called
from spade_eval.records import RecordStore
from spade_eval.reports.measured.counts import stored_counts
from spade_eval.reports.paper_report import pairs_of
from spade_eval.reports.plan_report import plan_comparison, plan_seeds
from spade_eval.reports.runs import open_run
from spade_eval.reports.statistics.comparison import compare
from spade_eval.reports.statistics.planning import ASSUMED_SEED_DEVIATION, plan_of_table
from spade_eval.reports.statistics.power import smallest_between_seeds


def test_a_plan_of_recorded_rows_is_what_their_comparison_states(tmp_path: Path) -> None:
    write_run(tmp_path / "run", {"mine": 0.3, "bad": 0.33})
    run = open_run(tmp_path / "run")
    (pair,) = compare(group(run.measurements), "mine", ["bad"], run.folder).pairs
    plan = plan_comparison([run], ("mine", "bad"), None, None)
    for line, item in zip(plan.rows, pair.differences, strict=True):
        assert line["smallest"] == pytest.approx(item.smallest)
        assert line["found"] == pytest.approx(item.corrected)
    assert str(run.folder) in plan.text
    # Four times the images show half as much, and N (2.802 sd / D)² show D.
    more = plan_comparison([run], ("mine", "bad"), 240, 0.5)
    assert more.rows[0]["smallest"] == pytest.approx(plan.rows[0]["smallest"] / 2)
    rows = {row.title: row for row in group(run.measurements).rows}
    counts = [stored_counts(run.folder, rows[name].measurements[0]) for name in ("mine", "bad")]
    mine, bad = (count_influence(of, "miou", "target") for of in counts if of is not None)
    assert mine is not None
    assert bad is not None
    deviation = float((mine - bad).std(ddof=1))
    assert more.rows[0]["needed"] == math.ceil((2.801585 * deviation / 0.005) ** 2)
    assert more.rows[-1]["needed"] is None, "points are of percentages, not of distances"


def test_without_records_the_plan_says_what_it_assumes() -> None:
    plan = plan_comparison([], ("a", "b"), 500, 1.43)
    assert plan.rows[0]["smallest"] == pytest.approx(0.0143, abs=1e-4)  # the audit's pair
    assert plan.rows[0]["needed"] == pytest.approx(500, abs=5)
    assert plan.notes[0].startswith("Assumed: the spread of spade - concat on 500 scenes")


def test_rows_that_no_run_holds_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "run", {"mine": 0.3})
    with pytest.raises(SystemExit) as ended:
        main(["plan", str(tmp_path / "run"), "--compare", "mine", "spade"])
    assert ended.value.code == 2
    assert "no run folder holds 'mine' and 'spade'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "expected either --compare ROW ROW or --table N, found neither"),
        (["--compare", "a", "b", "--table", "3"], "found both"),
        (["--compare", "a", "a"], "expected two different rows"),
        (["--compare", "a", "b", "--difference", "0"], "expected points above 0"),
        (["--compare", "a", "b", "--hours", "3"], "--hours 3.0 has an effect only with --table"),
        (["--table", "2"], "no table of the paper is called '2'"),
    ],
)
def test_other_questions_are_refused(
    flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["plan", *flags])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_table_is_planned_from_the_times_and_seeds_at_hand() -> None:
    measurements = [
        item
        for model in ("spade", "concat")
        for seed in range(3)
        for item in job(model, metrics=["miou"], seed=seed, seconds=40.0)  # 0.1 s a step
    ]
    plan = plan_of_table(paper_table_called("3"), measurements, 2.0, 15)
    assert [line.steps for line in plan.lines] == [200, 400, 800, 1600]
    assert plan.lines[1].hours == pytest.approx(8 * 400 * 0.1 / 3600)
    assert plan.lines[1].seeds == int(2 / plan.lines[1].hours) == 22
    assert (plan.num_models, plan.num_pairs) == (8, 15)
    # `job` draws the value from the name alone, so seeds do not differ.
    assert plan.lines[1].smallest == 0
    (said,) = plan.assumed
    assert "pix2pixhd" in said
    assert " spade," not in said


def test_a_paper_s_table_is_about_the_pairs_that_it_orders() -> None:
    assert pairs_of(paper_table_called("3")) == 15
    # A table of the suite is about every pair of it.
    rows = [row for row in paper_table_called("norms").rows if row.model is not None]
    assert pairs_of(paper_table_called("norms")) == len(rows) * (len(rows) - 1) // 2


def test_few_seeds_are_no_verdict_and_longer_trainings_leave_fewer() -> None:
    plan = plan_of_table(paper_table_called("4"), [], 1.0, 3)
    seeds = [line.seeds for line in plan.lines]
    assert seeds == sorted(seeds, reverse=True)
    for line in plan.lines:
        assert line.smallest == smallest_between_seeds(ASSUMED_SEED_DEVIATION, line.seeds)
        assert (line.smallest == math.inf) == (line.seeds < 3)
    assert pytest.approx(3.7, abs=0.05) == 100 * ASSUMED_SEED_DEVIATION
    text = plan_seeds(paper_table_called("4"), [], 1.0).text
    assert "no verdict" in text
    assert "a difference of mIoU deviates by 3.7 points.\nNote: Assumed: that deviation" in text


def test_json_has_every_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "runs" / "one", {"mine": 0.3, "bad": 0.33})
    assert list(RecordStore(tmp_path / "runs" / "one" / "records.jsonl"))
    with pytest.raises(SystemExit):
        main(["--json", "plan", "--compare", "mine", "bad"])
    said = json.loads(capsys.readouterr().out)
    assert said["rows"][0]["label"] == "miou"
    assert said["notes"][0].startswith("From runs/one"), "the records in runs/ are at hand"
    monkeypatch.chdir(tmp_path / "runs")
    with pytest.raises(SystemExit):
        main(["--json", "plan", "--table", "4", "--hours", "0.01"])
    assert json.loads(capsys.readouterr().out)["rows"][0]["smallest"] is None
