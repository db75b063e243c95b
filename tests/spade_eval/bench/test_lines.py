# SPDX-License-Identifier: Apache-2.0
"""Lines of JSON: what all of them share, and a file that only grows."""

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import torch

from spade_eval.cli import main
from spade_eval.cli.bench import lines as bench_lines
from spade_eval.cli.bench.lines import print_lines
from spade_eval.errors import UserError
from spade_eval.records import provenance


def run(*arguments: str) -> object:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code


def test_lines_hold_the_row_and_the_machine(capsys: pytest.CaptureFixture[str]) -> None:
    print_lines("data", [{"images": 3, "what": "ä"}, {"images": 4, "threads": 99}], None)
    first, second = capsys.readouterr().out.splitlines()
    line = json.loads(first)
    assert list(line) == sorted(line)
    assert (line["bench"], line["images"], line["what"]) == ("data", 3, "ä")
    assert (line["torch"], line["threads"]) == (torch.__version__, torch.get_num_threads())
    assert line["commit"] == provenance()["commit"]
    assert line["processor"]
    age = datetime.now(timezone.utc) - datetime.fromisoformat(line["time"])
    assert timedelta(0) <= age < timedelta(minutes=1)
    assert json.loads(second)["threads"] == 99, "the row's own"


def test_the_processor_has_a_name_without_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(path: Path, **_: str) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", missing)
    monkeypatch.setattr(bench_lines.platform, "processor", lambda: "")
    monkeypatch.setattr(bench_lines.platform, "machine", lambda: "arm64")
    assert bench_lines._processor() == "arm64"
    monkeypatch.setattr(Path, "read_text", lambda path, **_: "flags: x\nmodel name\t: Fast 9\n")
    assert bench_lines._processor() == "Fast 9"


def test_saving_twice_appends_in_new_folders(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "new" / "folder" / "lines.jsonl"
    for number in (1, 2):
        print_lines("data", [{"number": number}, {"number": -number}], path)
    assert path.read_text("utf-8") == capsys.readouterr().out
    numbers = [json.loads(line)["number"] for line in path.read_text("utf-8").splitlines()]
    assert numbers == [1, -1, 2, -2]


def test_what_was_measured_is_printed_before_saving_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"--save .* cannot be written .*the lines stand above"):
        print_lines("data", [{"images": 3}], tmp_path / "file" / "lines.jsonl")
    assert json.loads(capsys.readouterr().out)["images"] == 3


def test_a_folder_is_refused_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("distance", "generator", "train", "data"):
        assert run("bench", command, "--save", str(tmp_path)) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "a folder was found" in captured.err


def test_from_measuring_to_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two commands append to one file, whose figures hold both."""
    save = tmp_path / "lines.jsonl"
    for n in ("10", "40"):
        arguments = ["--dim", "8", "--n", n, "--repeats", "1", "--save", str(save)]
        assert run("bench", "distance", *arguments) == 0
    assert [json.loads(line)["num_images"] for line in save.read_text().splitlines()] == [10, 40]
    capsys.readouterr()
    assert run("bench", "plot", str(save)) == 0
    forms = [tmp_path / f"bench_distance_num_images.{form}" for form in ("png", "pdf", "svg")]
    assert capsys.readouterr().out.splitlines() == [str(path) for path in forms]
    assert all(path.stat().st_size > 2000 for path in forms)
    assert run("bench", "plot", str(save), "--out", str(tmp_path / "out")) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        path.name for path in forms
    )


def test_nothing_to_draw_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save, log = tmp_path / "lines.jsonl", tmp_path / "log.txt"
    print_lines("data", [{"images": 3}], save)
    log.write_text("no JSON here\n")
    capsys.readouterr()
    for path, said in (
        (save, "nothing to draw"),
        (log, "--save FILE"),
        (tmp_path, "a folder was found"),
    ):
        assert run("bench", "plot", str(path)) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert said in error
        assert str(path) in error
    assert sorted(tmp_path.iterdir()) == [save, log]
