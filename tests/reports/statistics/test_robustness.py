# SPDX-License-Identifier: Apache-2.0
"""Clean against damaged label maps: who is paired with whom, and what the difference is."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from counted import write_run

from spade_eval.reports.measured.grouping import by_protocol
from spade_eval.reports.merged_report import write_merged_report
from spade_eval.reports.runs import open_run
from spade_eval.reports.statistics.bootstrap import draw_counts, drawn_images, resampled
from spade_eval.reports.statistics.robustness import Loss, losses_of
from spade_eval.reports.statistics.sides import Side
from spade_eval.reports.tables.robustness import robustness_table

CLEAN = {"real": 0.0, "spade": 0.3, "concat": 0.4}
DAMAGED = {"real": 0.0, "spade": 0.5, "concat": 0.41}


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Runs on clean maps, on two damages and on sparse ones, of the same files."""
    settings = {
        "clean": (CLEAN, "in-domain"),
        "edge": (DAMAGED, "in-domain with damage edge"),
        "ds": (CLEAN, "in-domain with damage ds"),
        "few": (DAMAGED, "in-domain with masks few"),
    }
    for name, (wrong, profile) in settings.items():
        sha = {"protocol_sha256": f"{len(name)}{name}" * 8}
        write_run(tmp_path / name, wrong, profile=profile, **sha)
    return [tmp_path / name for name in settings]


def found(folders: list[Path]) -> dict[tuple[str, str, str], Loss]:
    measurements = [item for folder in folders for item in open_run(folder).measurements]
    losses = losses_of(by_protocol(measurements), folders)
    return {(loss.source, loss.damage, loss.metric): loss for loss in losses}


def test_rows_meet_themselves_under_damage_and_no_other_protocol(folders: list[Path]) -> None:
    losses = found(folders)
    assert {key[:2] for key in losses} == {
        (source, damage) for source in ("spade", "concat") for damage in ("edge", "ds")
    }
    assert {key[2] for key in losses} == {"miou", "acc_valid", "fd_in_domain"}


def test_differences_are_paired_by_label_map(folders: list[Path]) -> None:
    losses = found(folders)
    loss = losses["spade", "edge", "miou"]
    assert loss.difference == loss.damaged - loss.clean < 0
    assert loss.low < loss.difference < loss.high < 0
    sides = []
    for folder in folders[1::-1]:  # edge, clean
        (group,) = by_protocol(open_run(folder).measurements)
        row = next(row for row in group.rows if row.title == "spade")
        sides.append(Side.open(row, folder))
    times = draw_counts(drawn_images(60))
    values = [resampled(side.counts, times, "target").miou for side in sides if side.counts]
    assert [loss.low, loss.high] == np.percentile(values[0] - values[1], [2.5, 97.5]).tolist()
    same = losses["concat", "ds", "miou"]
    assert same.low == same.difference == same.high == 0


def test_checkpoints_of_other_trainings_are_no_partners(tmp_path: Path) -> None:
    write_run(tmp_path / "clean", CLEAN)
    write_run(tmp_path / "edge", DAMAGED, profile="in-domain with damage edge",
              source_sha256="f" * 64)  # fmt: skip
    assert found([tmp_path / "clean", tmp_path / "edge"]) == {}


def test_the_report_of_several_runs_has_the_table(
    folders: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spade_eval.reports.merged_report.has_plots", lambda: False)
    runs = [open_run(folder) for folder in folders[:2]]
    report = write_merged_report(runs, tmp_path / "together")
    assert "Robustness: clean and damaged label maps" in report.text
    assert len(pd.read_csv(tmp_path / "together" / "robustness.csv")) == 2 * 3
    page = next((tmp_path / "together" / "html").glob("*.html")).read_text()
    assert "Robustness" in page


def test_one_protocol_alone_has_no_such_table(folders: list[Path]) -> None:
    assert robustness_table(list(found(folders[:1]).values())) is None
