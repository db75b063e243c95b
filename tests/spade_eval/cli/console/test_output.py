# SPDX-License-Identifier: Apache-2.0
"""The forms of output: for a person, quietly, as one object of JSON."""

import ast
import json
import math
import re
import subprocess
import sys
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spade_eval.cli import main
from spade_eval.cli.console.output import output_of, plain, say, show, wrote
from spade_eval.datasets.scenes import Scenes

ROOT = Path(__file__).resolve().parents[4]
ALWAYS = {"command", "version", "state", "exit_code", "error", "written", "notes", "lines"}
TINY = ("--budget", "smoke", "--size", "32", "--limit", "2", "--device", "cpu")


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(words)
    return int(ended.value.code or 0), *capsys.readouterr()


def parsed(text: str) -> dict[str, Any]:
    """One object on one line and nothing else; NaN and Infinity are no JSON."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    assert text.count("\n") == 1
    return dict(json.loads(text, parse_constant=refuse))


def object_of(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    code, out, _ = told(capsys, *words, "--json")
    said = parsed(out)
    assert set(said) >= ALWAYS
    assert said["exit_code"] == code
    return said


class Choice(Enum):
    one = "1"


def test_values_become_those_of_json() -> None:
    given = {
        "nan": math.nan, "inf": [math.inf, -math.inf], "path": Path("a/b"), "choice": Choice.one,
        "numbers": (np.float32(0.5), np.int64(3), np.float64("nan")), 4: None, "yes": True,
    }  # fmt: skip
    assert plain(given) == {
        "nan": None, "inf": [None, None], "path": "a/b", "choice": "1",
        "numbers": [0.5, 3, None], "4": None, "yes": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "out"),
    [
        ([], "likes\nasked\n"),
        (["--quiet"], "asked\n"),
        (["-q"], "asked\n"),
        (["--", "--quiet"], "likes\nasked\n"),
    ],
)
def test_quiet_prints_what_was_asked_for(
    flags: list[str], out: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with output_of(flags) as output:
        say("likes")
        show("asked")
        output.finish(0)
    assert capsys.readouterr() == (out, "")


def test_fields_stand_in_the_place_of_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with output_of(["--json"]) as output:
        show("two\nlines")
        show("a table", rows=[1])
        wrote([Path("x"), Path("x")])
        output.finish(3)
    *_, last = capsys.readouterr().out.splitlines()
    said = json.loads(last)
    assert said["lines"] == ["two", "lines"]
    assert said["rows"] == [1]
    assert said["written"] == ["x"]
    assert said["state"] == "failed"


@pytest.mark.parametrize(
    ("variables", "delegated", "end", "said"),
    [
        ({}, True, (0,), None),  # the workers have spoken
        ({}, True, (2,), None),
        ({}, True, (1,), "a process of the run failed"),
        ({}, True, (2, "no GPU"), "no GPU"),  # refused before there was a worker
        ({"RANK": "1"}, False, (0,), None),
        ({"RANK": "1"}, False, (2, "wrong"), "wrong"),  # it has the word
        ({"RANK": "0", "SPADE_EVAL_LAUNCHER": "1"}, False, (1, "fault", "failed"), None),
        ({"RANK": "0", "SPADE_EVAL_LAUNCHER": "1"}, False, (0, None, "stopped"), ""),
    ],
)
def test_of_several_processes_one_prints_the_object(
    variables: dict[str, str], delegated: bool, end: Any, said: str | None,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with output_of(["--json"]) as output:
        output.delegated = delegated
        output.finish(*end)
    out = capsys.readouterr().out
    if said is None:
        assert out == ""
    else:
        assert said in (parsed(out)["error"] or "")


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("models spade", {"rows"}),
        ("models --diff", {"lines"}),
        ("protocol", {"lines"}),
        ("protocol ade20k", {"protocols"}),
        ("published ade20k", {"rows"}),
        ("weights list", {"rows", "folder"}),
        ("weights check vgg", {"rows"}),
        ("data classes cocostuff", {"lines"}),
        ("data stats --dataset scenes --split val --size 32", {"rows"}),
        ("bench distance --dim 4 --n 8 --repeats 1", {"rows"}),
        ("--version", set()),
    ],
)
def test_lists_are_one_object(
    line: str, fields: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    said = object_of(capsys, *line.split())
    assert (said["state"], said["error"]) == ("done", None)
    assert line.startswith(said["command"])
    assert all(said[name] for name in fields)
    told_by = set(said) - ALWAYS | ({"lines"} if "lines" in fields else set())
    assert told_by == fields


@pytest.mark.parametrize(
    "line", ["trian", "benchmark --sede 3", "benchmark --jobs 2", "report nowhere", "bundle"]
)
def test_a_refusal_is_an_object_and_a_line(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = told(capsys, *line.split(), "--json")
    said = parsed(out)
    assert code == said["exit_code"] == 2
    assert said["state"] == "refused"
    assert err == f"error: {said['error']}\n"


def test_a_fault_of_the_program_is_an_object_as_well(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no luck")

    monkeypatch.setattr("spade_eval.cli.lists.model_list.listed_models", broken)
    with pytest.raises(RuntimeError):
        main(["models", "--json"])
    said = parsed(capsys.readouterr().out)
    assert (said["state"], said["exit_code"], said["error"]) == (
        "failed", 1, "RuntimeError: no luck",
    )  # fmt: skip


def test_problems_are_a_state(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (tmp_path / kind / split).mkdir(parents=True)
            Image.new("L", (8, 8)).save(tmp_path / kind / split / "a.png")
    place = ("--dataset", "folder", "--data-root", str(tmp_path))
    said = object_of(capsys, "data", "check", *place)
    assert (said["state"], said["exit_code"]) == ("problems", 1)
    assert said["lines"]
    lines = said["lines"]
    toml = "\n".join(lines).partition("start from:")[2]
    (tmp_path / "dataset.toml").write_text(toml)
    (tmp_path / "labels" / "val" / "a.png").write_bytes(b"no image")
    said = object_of(capsys, "data", "check", *place)
    assert said["state"] == "problems"
    assert len(said["problems"]) == 1
    assert [split["split"] for split in said["splits"]] == ["train", "val"]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in Scenes("val", (32, 32)).names[:2]:
        Image.new("RGB", (32, 32), (9, 99, 9)).save(folder / f"{name}.png")
    return folder


def test_scores_come_with_intervals_notes_and_paths(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, images: Path
) -> None:
    run = tmp_path / "run"
    words = ("score", f"mine={images}", *TINY, "--out", str(run))
    code, out, err = told(capsys, *words, "--json")
    said = parsed(out)
    assert code == 0
    assert "scenes val, 2 images" in err
    assert said["folder"] == str(run)
    assert "mine" in said["measured"]
    rows = {row["row"]: row for row in said["rows"]}
    assert set(rows) == {"real", "oracle", "grey", "label colours", "mine"}
    miou = rows["mine"]["values"]["miou"]
    assert 0 <= miou["low"] <= miou["value"] <= miou["high"] <= 1
    assert miou["unit"] == "%"
    assert any("far too few" in note for note in said["notes"])
    assert str(run / "tables" / "scores.csv") in said["written"]
    assert all(Path(path).is_file() for path in said["written"])
    # Quietly: the table and where it is.
    code, out, err = told(capsys, *words, "--quiet")
    assert (code, err) == (0, "")
    assert out.startswith("scenes val, 2 images")
    assert "measured now" not in out
    # Both: the object alone.
    code, out, err = told(capsys, "report", str(run), "--json", "--quiet")
    assert (code, err) == (0, "")
    assert parsed(out)["rows"] == said["rows"]
    # Several runs: means over seeds.
    board = object_of(capsys, "report", str(run), str(run), "--out", str(tmp_path / "board"))
    means = {row["row"]: row["values"]["miou"] for row in board["rows"]}
    assert means["mine"]["value"] == miou["value"]
    assert means["mine"]["spread"] is None
    bundled = object_of(capsys, "bundle", str(run), "--out", str(tmp_path / "a.zip"))
    assert bundled["written"] == [str(tmp_path / "a.zip")]
    checked = object_of(capsys, "bundle", "--verify", str(tmp_path / "a.zip"))
    assert (checked["sha256"], checked["faults"]) == (bundled["sha256"], [])


def stated_fields() -> set[str]:
    """The fields that commands give to `show`, or add to the object themselves."""
    stated: set[str] = set()
    for path in (ROOT / "spade_eval" / "cli").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "show":
                stated |= {item.arg for item in node.keywords if item.arg is not None}
            elif isinstance(node, (ast.Assign, ast.AugAssign)) and isinstance(node.value, ast.Dict):
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                if ast.unparse(target) in ("found", "current().fields"):
                    stated |= {ast.literal_eval(key) for key in node.value.keys if key}
    return stated


def test_the_page_lists_every_field() -> None:
    page = (ROOT / "docs" / "command_line.md").read_text(encoding="utf-8")
    section = page.partition("## The object of `--json`")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `(\w+)`", section, re.MULTILINE)
    assert sorted(listed) == sorted(ALWAYS | stated_fields())


def test_nothing_else_reaches_a_pipe(tmp_path: Path) -> None:
    """A process of its own, with what libraries print: one object, and no bar in the log."""
    program = [sys.executable, str(ROOT / "run_benchmark.py"), "--json", "--model", "spade"]
    less = [
        "--steps",
        "1",
        "--batch-size",
        "2",
        "--width",
        "0.0625",
        "--out",
        str(tmp_path / "run"),
    ]
    done = subprocess.run([*program, *TINY, *less], capture_output=True, text=True, check=True)
    said = parsed(done.stdout)
    assert [row["row"] for row in said["rows"]][-1] == "spade"
    assert "\r" not in done.stderr
    assert "%|" not in done.stderr
