# SPDX-License-Identifier: Apache-2.0
"""`report`, `bundle` and `--compare` on the command line, and the commands of docs/reports.md."""

import dataclasses
import os
import re
import shlex
from pathlib import Path

import pytest
import typer.main
from counted import write_run

from spade_eval.cli import app, main
from spade_eval.cli.benchmark.chosen import Comparing, comparing
from spade_eval.errors import UserError
from spade_eval.records import RecordStore

DOCUMENT = Path(__file__).parents[2] / "docs" / "reports.md"
COMMANDS = re.findall(
    r"`((?:spade-eval|python run_benchmark\.py) [^`]+)`", DOCUMENT.read_text("utf-8")
)
TINY = ["--budget", "smoke", "--steps", "1", "--batch-size", "2", "--width", "0.0625",
        "--limit", "44"]  # fmt: skip


def called(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(words)
    shown = capsys.readouterr()
    return int(ended.value.code or 0), shown.out, shown.err


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for seed, name in enumerate(("NAME", "OTHER")):
        write_run(tmp_path / "runs" / name, {"real": 0.1, "spade": 0.4, "concat": 0.6}, seed=seed)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_of_the_document_run(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(COMMANDS) >= 8
    for line in COMMANDS:
        words = shlex.split(line)
        if words[0] == "python":
            continue  # trains: run by the test below
        code, out, err = called(words[1:], capsys)
        assert code == 0, f"{line}: {err}"
        assert out


def test_a_read_only_run_is_printed_and_reported_and_bundled_elsewhere(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = place / "runs" / "NAME"
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    access = os.access

    def on_a_read_only_disk(path: Path, mode: int) -> bool:
        return not (Path(path) == run and mode == os.W_OK) and access(path, mode)

    monkeypatch.setattr(os, "access", on_a_read_only_disk)
    code, out, err = called(["report", str(run)], capsys)
    assert code == 0, err
    assert "concat" in out
    assert f"{run} is read-only: give --out FOLDER" in out
    assert called(["report", str(run), "--out", "elsewhere"], capsys)[0] == 0
    assert (place / "elsewhere" / "html" / "index.html").is_file()
    assert called(["bundle", str(run), "--out", "run.zip"], capsys)[0] == 0
    assert called(["bundle", "--verify", "run.zip"], capsys)[0] == 0
    # Intervals are remembered in the run's cache where that can be.
    after = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert {path.parent.name for path in after.keys() - before.keys()} <= {"cache"}
    assert {path: after[path] for path in before} == before


def test_the_flags_of_the_compare_command_exist() -> None:
    (line,) = [line for line in COMMANDS if line.startswith("python")]
    command = typer.main.get_command(app).commands["benchmark"]  # type: ignore[attr-defined]
    context = command.make_context("benchmark", shlex.split(line)[2:])
    assert context.params["compare"] == ["spade"]
    assert context.params["more_baselines"] == ["concat"]


def test_a_tampered_bundle_ends_with_code_2(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(["bundle", "runs/NAME", "--out", "a.zip"], capsys)[0] == 0
    code, out, err = called(["bundle", "--verify", "a.zip", "--sha256", "0" * 64], capsys)
    assert code == 2
    assert "fault: identity" in out
    assert "a.zip" in err
    for words in (["bundle"], ["bundle", "runs/NAME"], ["bundle", "runs/NAME", "--verify", "a.zip"],
                  ["report", "runs/NAME", "--unverified"],
                  ["report", "runs/NAME", "runs/OTHER", "--thorough"]):  # fmt: skip
        code, _, err = called(words, capsys)
        assert code == 2, words
        assert len(err.splitlines()) == 1


def test_who_is_compared_with_whom() -> None:
    found = comparing(["spade"], ["concat"], ["mine"], None)
    assert found == Comparing(("mine",), ("spade", "concat"))
    assert found.unplanned(["mine"]) == ["spade", "concat"]
    assert found.unplanned(["mine", "concat"]) == ["spade"]
    assert (
        comparing(["real", "other"], None, ["mine", "other"], None).unplanned(["mine", "other"])
        == []
    )
    assert comparing(None, None, ["mine"], None).unplanned(["mine"]) == []
    assert comparing(["concat"], None, [], ["spade", "concat"]).subjects == ("spade",)
    with pytest.raises(UserError, match="has nothing to compare"):
        comparing(["spade"], None, [], None)


@pytest.mark.parametrize("flags", [[], ["--table", "1"], ["--seeds", "2"]])
def test_words_that_belong_to_no_flag_are_refused_before_any_job(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["benchmark", "concat", *TINY, *flags, "--out", str(tmp_path / "run")]
    code, out, err = called(words, capsys)
    assert (code, out) == (2, "")
    assert "unexpected 'concat'; expected flags, or names behind --compare" in err
    assert not (tmp_path / "run").exists()


def test_a_baseline_without_a_row_is_refused_before_anything_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for baseline in ("sapde", "clade"):  # one that is no model, one that is not asked for
        code, out, err = called(
            ["benchmark", *TINY, "--model", "spade", "--compare", baseline,
             "--out", str(tmp_path / "run")], capsys,
        )  # fmt: skip
        assert (code, out) == (2, "")
        assert f"--compare '{baseline}': no row under this protocol has that name" in err
        assert len(err.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_baseline_of_another_protocol_is_refused_before_anything_is_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    run = ["benchmark", "--budget", "smoke", "--limit", "2", "--fid-profile", "none",
           "--model", "none", "--save-images", "all", "--out", str(out)]  # fmt: skip
    assert called([*run, "--no-report"], capsys)[0] == 0
    records = out / "records.jsonl"
    store = RecordStore(records)
    grey = [item for item in store if item.source == "grey"]
    same = [dataclasses.replace(item, source="same", job_sha256="1" * 64) for item in grey]
    store.append(same)
    store.append([dataclasses.replace(item, source="older", job_sha256="2" * 64,
                                      protocol_sha256="0" * 64) for item in grey])  # fmt: skip
    before = records.read_bytes()
    images = f"mine={out / 'images' / 'real'}"
    code, _, err = called([*run, "--images", images, "--compare", "same", "older"], capsys)
    assert code == 2
    assert "--compare 'older': no row under this protocol has that name" in err
    assert "label colours, mine, oracle, real, same, or add it" in err
    assert records.read_bytes() == before


@pytest.mark.slow
def test_a_checkpoint_against_baselines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = ["benchmark", *TINY, "--model", "spade", "--out", str(tmp_path / "a")]
    assert called(first, capsys)[0] == 0
    (checkpoint,) = (tmp_path / "a").glob("checkpoints/spade-*/generator.safetensors")
    code, out, err = called(
        ["benchmark", *TINY, "--seed", "1", "--checkpoint", f"mine={checkpoint}",
         "--compare", "spade", "concat", "--out", str(tmp_path / "b")], capsys,
    )  # fmt: skip
    assert code == 0, err
    assert "mine against spade" in out
    assert "mine against concat" in out
    assert "paired bootstrap over images" in out
    assert "jackknife over 20 groups" in out
    assert (tmp_path / "b" / "compare" / "mine" / "comparison.md").is_file()
