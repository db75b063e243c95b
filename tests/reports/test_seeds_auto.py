# SPDX-License-Identifier: Apache-2.0
"""`--seeds auto`: seeds are added until every pair of rows is decided, or they end."""

import dataclasses
from pathlib import Path

import pytest
from synthetic import job

from spade_eval.cli import main, tables
from spade_eval.errors import UserError
from spade_eval.jobs.launch import Outcome
from spade_eval.jobs.study import Study
from spade_eval.records import RecordStore

# mIoU of each seed: far apart, or not.
CLEAR = {"spade": (0.5, 0.51, 0.5, 0.51, 0.5, 0.51), "concat": (0.3, 0.31, 0.305, 0.3, 0.31, 0.3)}
CLOSE = {"spade": (0.5, 0.4, 0.6, 0.3, 0.5, 0.4), "concat": (0.4, 0.6, 0.3, 0.5, 0.4, 0.5)}


def pretend(monkeypatch: pytest.MonkeyPatch, values: dict[str, tuple[float, ...]]) -> list[int]:
    """Record these values in the place of trainings; returns the seeds of every look."""
    looks: list[int] = []

    def run(study: Study, asked: object) -> Outcome:
        looks.append(len(study.runs))
        for config, place in study.runs:
            store = RecordStore(place.run_folder / "records.jsonl")
            if not store.path.is_file():
                for source, of_seeds in values.items():
                    kind = "real" if source == "real" else "generator"
                    (item,) = job(source, kind, metrics=["miou"], seed=config.seed)
                    store.append([dataclasses.replace(item, value=of_seeds[config.seed])])
        return Outcome()

    monkeypatch.setattr(tables, "_run", run)
    return looks


def benchmark(out: Path, *flags: str) -> int:
    models = ["--model", "spade", "--model", "concat", "--out", str(out)]
    with pytest.raises(SystemExit) as ended:
        main(["benchmark", *models, *flags])
    return int(ended.value.code or 0)


def test_clear_differences_end_at_the_third_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looks = pretend(monkeypatch, CLEAR)
    assert benchmark(tmp_path, "--seeds", "auto") == 0
    out = capsys.readouterr().out
    assert looks == [3]
    assert "3 seeds: 1 of 1 pairs of rows are decided by mIoU\n" in out
    assert "mIoU: spade above concat" in out
    assert "Detectable with 3 seeds: mIoU" in out


def test_close_ones_go_on_until_the_seeds_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looks = pretend(monkeypatch, CLOSE)
    assert benchmark(tmp_path, "--seeds", "auto:5") == 0
    out = capsys.readouterr().out
    assert looks == [3, 4, 5]
    assert "3 seeds: 0 of 1 pairs of rows are decided by mIoU; seed 3 is added" in out
    assert "5 seeds: 0 of 1 pairs of rows are decided by mIoU; 5 is the most" in out
    assert "mIoU: nothing; not shown: spade and concat" in out


def test_a_table_of_a_paper_is_decided_by_its_own_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looks = pretend(monkeypatch, CLEAR)
    assert benchmark(tmp_path, "--table", "3", "--seeds", "auto:4") == 0
    assert looks == [3]
    assert "decoder w/ SPADE above decoder w/ Concat" in capsys.readouterr().out


def test_no_seed_is_added_where_the_segmenter_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looks = pretend(monkeypatch, {**CLOSE, "real": (0.05,) * 6})
    for flags in ([], ["--table", "3"]):
        assert benchmark(tmp_path / str(len(flags)), *flags, "--seeds", "auto:5") == 0
        out = capsys.readouterr().out
        assert "3 seeds: mIoU ranks no row here, as the table warns; no seed is added" in out
        assert "The segmenter fails on the real photos" in out
    assert looks == [3, 3]


def test_a_number_of_seeds_has_one_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = pretend(monkeypatch, CLOSE)
    assert benchmark(tmp_path, "--seeds", "4") == 0
    assert looks == [4]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--seeds", "auto:2"], "a verdict takes 3 seeds"),
        (["--seeds", "auto", "--launcher", "slurm"], "nobody waits for the jobs"),
        (["--seeds", "0"], "expected a number from 1 on, auto or auto:N"),
        (["--seeds", "autox"], "expected a number from 1 on, auto or auto:N"),
        (["--seeds", "-1"], "expected a number from 1 on"),
    ],
)
def test_other_seeds_are_refused(
    flags: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert benchmark(tmp_path, *flags) == 2
    assert said in capsys.readouterr().err


def test_one_model_has_no_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["benchmark", "--model", "spade", "--seeds", "auto", "--out", str(tmp_path)])
    assert "decides the differences of trained rows, found 1" in capsys.readouterr().err


def test_plans_of_seeds() -> None:
    assert tables.SeedPlan.parse("auto") == tables.SeedPlan(10, is_auto=True)
    assert list(tables.SeedPlan.parse("auto:4").looks) == [3, 4]
    assert list(tables.SeedPlan.parse("2").looks) == [2]
    with pytest.raises(UserError):
        tables.SeedPlan.parse("auto:")
