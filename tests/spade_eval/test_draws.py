# SPDX-License-Identifier: Apache-2.0
"""Several images a label map through the whole suite: records, tables, page, bundle, refusals."""

import dataclasses
import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from few_scenes import few_scenes
from PIL import Image
from torch import Tensor

import spade_eval as se
from spade_eval import datasets
from spade_eval.cli import main
from spade_eval.engine import Benchmark
from spade_eval.records import Measurement, RecordStore
from spade_eval.reports.bundle.bundle import write_bundle
from spade_eval.reports.bundle_check import verify_bundle
from spade_eval.reports.measured.failures import without_verdict
from spade_eval.reports.run_report import group_sections, printed_report, write_run_tables
from spade_eval.reports.runs import open_run
from spade_eval.reports.statistics.intervals import Uncertainty
from spade_eval.rows import Request

COUNT = 42  # enough for intervals of distances
TABLE = torch.rand(256, 3, generator=torch.Generator().manual_seed(0))
HOW = {"dataset": "scenes", "device": "cpu", "size": 16, "save_images": 2}


def painted(batch: se.MapBatch) -> Tensor:
    """Random colours a class, with noise."""
    colours = TABLE[batch.label_map].permute(0, 3, 1, 2)
    return (colours + 0.3 * batch.noise.normal("z", 3, 1, 1)).clamp(0, 1)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a generator of three images a map, and one of two that are given."""
    folder = tmp_path_factory.mktemp("draws") / "run"
    given = np.random.default_rng(0).integers(0, 256, (COUNT, 2, 16, 16, 3), dtype=np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(datasets.DATASETS, "scenes", few_scenes(COUNT))
        se.evaluate(
            painted, name="painted", value_range="[0,1]", draws=3, best_draw=True, out=folder, **HOW
        )  # type: ignore[arg-type]
        se.evaluate_images(
            given, name="given", draws=3, best_draw=True, style_input="none", out=folder, **HOW
        )  # type: ignore[arg-type]
    write_run_tables(open_run(folder))
    return folder


def exit_code(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def records(run: Path, source: str) -> dict[str, Measurement]:
    store = RecordStore(run / "records.jsonl")
    return {item.metric: item for item in store if item.source == source and not item.class_name}


def test_every_number_has_its_name_in_the_records(run: Path) -> None:
    found = records(run, "painted")
    assert {item.num_draws for item in found.values()} == {3}
    assert {item.num_draws for item in records(run, "given").values()} == {2}
    assert {item.num_draws for item in records(run, "real").values()} == {None}
    assert {name: found[name].draws for name in found if name.startswith("miou")} == {
        "miou": None, "miou_draw_2": "draw 2", "miou_draw_3": "draw 3", "miou_mean": "mean",
        "miou_pooled": "pooled", "miou_best": "best",
    }  # fmt: skip
    assert found["fd_in_domain_pooled"].label == "FD (in-domain), pooled"
    assert found["miou_best"].label == "mIoU, best draw (oracle)"
    values = [found[name].value for name in ("miou", "miou_draw_2", "miou_draw_3")]
    assert found["miou_mean"].value == pytest.approx(statistics.fmean(map(float, values)))  # type: ignore[arg-type]


def test_the_first_draw_is_a_row_of_one_image_a_map(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(datasets.DATASETS, "scenes", few_scenes(COUNT))
    one = se.evaluate(
        painted,
        name="painted",
        value_range="[0,1]",
        out=tmp_path / "one",
        **HOW,  # type: ignore[arg-type]
    )
    three = records(run, "painted")
    assert {name: one[name] for name in one.metrics} == {
        name: three[name].value for name in one.metrics
    }


def test_tables_hold_each_by_its_name(run: Path) -> None:
    lines = pd.read_csv(run / "tables" / "draws.csv")
    of = lines[lines["source"] == "painted"].set_index("of")
    assert list(of.index) == ["draw 1", "draw 2", "draw 3", "mean", "pooled", "best"]
    singles = of.loc[["draw 1", "draw 2", "draw 3"], "miou"]
    assert of.loc["mean", "miou_spread"] == pytest.approx(singles.std(ddof=1))
    assert of.loc["pooled", "miou_low"] < of.loc["pooled", "miou"] < of.loc["pooled", "miou_high"]
    assert np.isnan(of.loc["best", "fd_in_domain"])
    scores = pd.read_csv(run / "tables" / "scores.csv").set_index("source")
    assert scores.loc["painted", "num_draws"] == 3
    assert scores.loc["painted", "fd_in_domain_pooled"] == of.loc["pooled", "fd_in_domain"]
    assert scores.loc["painted", "miou_mean_spread"] == of.loc["mean", "miou_spread"]
    text = (run / "tables" / "draws.md").read_text()
    assert "oracle" in text
    assert "†" in text
    (group,) = open_run(run).groups
    sections = group_sections([group], {group.key: Uncertainty({}, {})})
    assert [table.title for table in sections[0].tables] == ["Scores", "Draws", "IoU by class"]


def test_a_bundle_computes_all_of_it_again(run: Path, tmp_path: Path) -> None:
    write_bundle([run], tmp_path / "bundle.zip")
    check = verify_bundle(tmp_path / "bundle.zip")
    assert check.faults == ()
    assert not [
        line for line in check.unchecked if "memorised" not in line and "leaked" not in line
    ]


def test_a_changed_draw_is_found(run: Path, tmp_path: Path) -> None:
    text = (run / "records.jsonl").read_text()
    value = records(run, "painted")["miou_pooled"].value
    (tmp_path / "run").mkdir()
    for part in ("counts", "features"):
        (tmp_path / "run" / part).symlink_to(run / part)
    changed = text.replace(repr(value), "0.9")
    assert changed != text
    (tmp_path / "run" / "records.jsonl").write_text(changed)
    with pytest.raises(se.UserError, match="another pooled mIoU than the"):
        printed_report(tmp_path / "run")


def test_the_oracle_ranks_nobody_and_rows_of_other_numbers_are_not_pooled_against(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(datasets.DATASETS, "scenes", few_scenes(COUNT))
    mine = se.evaluate(
        painted, name="painted", value_range="[0,1]", draws=3, best_draw=True, out=run, **HOW
    )  # type: ignore[arg-type]
    frame = se.compare(mine, "given").frame.set_index("metric")
    assert frame.loc["miou_best", "verdict"] == "withheld"
    assert frame.loc["miou_pooled", "verdict"] == "no interval"
    assert frame.loc["miou_mean", "verdict"] in ("better", "worse", "no difference shown")
    assert frame.loc["miou_mean", "num_images"] == COUNT
    assert "miou_draw_2" not in frame.index
    assert {"miou_best", "acc_valid_best"} <= without_verdict(mine.group.rows)
    assert any("2 and 3 images of each label map" in note for note in mine.notes)
    low, high = mine.interval("miou_pooled") or (0, 0)
    assert low < (mine["miou_pooled"] or 0) < high
    assert mine.interval("miou_draw_2") is None


def test_folders_say_themselves_how_many_they_hold(
    four_scenes: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"val_0000{i}" for i in range(4)]
    for draw in range(2):
        for place, name in enumerate(names):
            pixels = np.random.default_rng(9 * draw + place).integers(0, 256, (16, 16, 3))
            (tmp_path / "images").mkdir(exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"images/{name}_{draw}.png")
    words = ["benchmark", "--model", "none", "--size", "16", "--device", "cpu", "--no-report",
             "--images", f"mine={tmp_path / 'images'}"]  # fmt: skip
    assert exit_code(*words, "--out", str(tmp_path / "run")) == 0
    assert records(tmp_path / "run", "mine")["miou_pooled"].num_draws == 2
    capsys.readouterr()
    (tmp_path / "images" / "val_00001_1.png").unlink()
    assert exit_code(*words, "--out", str(tmp_path / "other")) == 2
    assert "label map val_00001 has 1 of 2 images" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--best-draw"], "no row has several images of a label map"),
        (["--draws", "2", "--until", "miou+-1"], "each draw would end at another image"),
    ],
)
def test_what_means_nothing_is_refused_before_anything_is_made(
    four_scenes: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    said: str,
) -> None:
    out = tmp_path / "run"
    words = ["benchmark", "--model", "none", "--size", "16", "--device", "cpu", "--out", str(out)]
    assert exit_code(*words, *flags) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not out.exists()


def test_models_draw_where_they_can_and_say_where_they_cannot(
    benchmark_in: Callable[..., Benchmark],
) -> None:
    plain = benchmark_in()
    benchmark = Benchmark(dataclasses.replace(plain.config, draws=2), plain.place)
    benchmark.run(Request(("spade", "spade_random")))
    found = {
        item.source: item
        for item in benchmark.store
        if item.metric == "miou" and not item.class_name
    }
    assert (found["spade"].num_draws, found["spade_random"].num_draws) == (None, 2)
    assert any("its generator draws nothing" in note for note in found["spade"].notes)
    assert benchmark.run(Request(("spade", "spade_random"))) == []


def test_a_function_that_draws_nothing_is_told_so(four_scenes: None, tmp_path: Path) -> None:
    def flat(batch: se.MapBatch) -> Tensor:
        return TABLE[batch.label_map].permute(0, 3, 1, 2)

    result = se.evaluate(flat, value_range="[0,1]", draws=2, out=tmp_path / "run", **HOW)  # type: ignore[arg-type]
    assert any("another draw gave the very same images" in note for note in result.notes)
    assert result["miou_mean"] == result["miou"]
