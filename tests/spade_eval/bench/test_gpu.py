# SPDX-License-Identifier: Apache-2.0
"""`spade-eval bench gpu`, whole, on the CPU and tiny: order, files, page, suggestions."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from spade_eval.bench import gpu
from spade_eval.bench.gpu import SETTINGS, Bench, pays_from
from spade_eval.cli import main
from spade_eval.cli.bench import gpu as command
from spade_eval.cli.bench.gpu_page import page_text, suggestions_of
from spade_eval.segmenters import SEGMENTERS


def run(*arguments: str) -> object:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A segmenter of a few channels in the place of the only one of the tiny setting."""
    small = {"blocks": (1, 1, 1, 1), "base_channels": 2}
    entry = replace(SEGMENTERS["drn-d-105"], options=small)
    monkeypatch.setitem(SEGMENTERS, "drn-d-105", entry)


@pytest.mark.slow
@pytest.mark.usefixtures("_small")
def test_the_whole_command_on_a_cpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--device", "cpu", "--setting", "tiny", "--minutes", "60"]
    assert run("bench", "gpu", *flags, "--out", str(tmp_path / "out")) == 0
    printed = capsys.readouterr().out
    assert "`models/fast/spade.py`: `_LEAST_WORK` 1.0e+09 -> " in printed
    text = (tmp_path / "out" / "lines.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    assert "failed" not in " ".join(str(line.get("note")) for line in lines)
    assert list(dict.fromkeys(line["section"] for line in lines)) == [
        "Ceilings of the machine", "Checks", "Generators", "Scoring networks", "Training steps",
        "Single layers", "Distance", "Scoring in one pass",
    ]  # fmt: skip
    assert all(line["passed"] for line in lines if line["bench"] == "check")
    left_out = {line["title"] for line in lines if line.get("note")}
    assert left_out == {
        "spade, TensorFloat-32", "drn-d-105, TensorFloat-32", "spade, CUDA graphs"
    }  # fmt: skip
    half = [line for line in lines if line.get("variant") == "dense+bf16"]
    assert {line["section"] for line in half} == {
        "Generators", "Scoring networks", "Training steps"
    }  # fmt: skip
    ceilings = {line["what"]: line["rate"] for line in lines if line["bench"] == "ceiling"}
    for line in half:
        rate = line["operations"] / line["seconds"]
        assert line["own_share"] == pytest.approx(rate / ceilings["matrix product, bf16"])
    page = (tmp_path / "out" / "page.md").read_text(encoding="utf-8")
    assert page == page_text(lines, suggestions_of(lines))
    assert page.count("\n## ") == 9
    assert "- spade, CUDA graphs: left out: only CUDA has it" in page


def test_a_run_that_is_cut_off_has_its_page_and_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone(*given: Any, **named: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(gpu, "check_forms", gone)
    flags = ["--device", "cpu", "--setting", "tiny", "--out", str(tmp_path)]
    assert run("bench", "gpu", *flags) == 130
    lines = (tmp_path / "lines.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["bench"] for line in lines] == ["ceiling"] * 3
    assert "matrix product, float32" in (tmp_path / "page.md").read_text(encoding="utf-8")


def test_what_fits_into_no_time_is_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--device", "cpu", "--setting", "tiny", "--minutes", "0.01", "--out", str(tmp_path)]
    assert run("bench", "gpu", *flags) == 0
    lines = [json.loads(line) for line in (tmp_path / "lines.jsonl").read_text().splitlines()]
    assert all(line["note"].startswith("left out: about ") for line in lines)
    assert "no layer was measured" in capsys.readouterr().out


def test_the_full_plan_is_in_order_of_importance(tmp_path: Path) -> None:
    planned = bench(tmp_path, "full").planned()
    titles = [f"{item.section}: {item.title}" for item in planned]
    assert len(titles) == len(set(titles))
    assert [item.section for item in planned[:4]] == ["Ceilings of the machine", *["Checks"] * 3]
    assert titles.index("Generators: spade, bf16") < titles.index(
        "Generators: spade, torch.compile"
    )
    timed = {item.title.partition(",")[0] for item in planned if item.bench == "networks"}
    assert set(SEGMENTERS) < timed, "all official networks"
    # Within ten minutes are at least checks, plain and fast forms of all, and the layers' rules.
    until = titles.index("Single layers: pix2pixhdpp, batch 4, with gradients")
    assert sum(item.seconds for item in planned[: until + 1]) < 600


def bench(folder: Path, setting: str) -> Bench:
    def never(*_: Any) -> Any:
        raise AssertionError

    return Bench(
        setting=SETTINGS[setting], device=torch.device("cpu"), weights_dir=folder, folder=folder,
        checkout=folder, open_maps=never, left=lambda: 0.0, one_pass=never,
    )  # fmt: skip


def test_compiling_pays_from_some_batch_on() -> None:
    dense = {"seconds": 2.0}
    assert pays_from(dense, {"seconds": 1.5, "first": 61.5}) == 120
    assert pays_from(dense, {"seconds": 2.5, "first": 60.0}) is None
    line = {"bench": "generator", "section": "Generators", "title": "t", "model": "spade",
            "work": "synthesis"}  # fmt: skip
    rows = [
        {**line, "variant": "dense", **dense},
        {**line, "variant": "dense+compiled", "seconds": 1.5, "first": 61.5},
    ]
    (said,) = suggestions_of(rows)
    assert said.endswith("spade, synthesis, dense+compiled: has paid from 120 batches on")


def test_wrong_flags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(tmp_path / "out")]
    assert run("bench", "gpu", *out, "--setting", "small", "--device", "cpu") == 2
    assert "no setting is called 'small'" in capsys.readouterr().err
    assert run("bench", "gpu", *out, "--device", "cuda:99") == 2
    assert "cannot be used here" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert command.LINES == "lines.jsonl"
