# SPDX-License-Identifier: Apache-2.0
"""What surrounds a command: its version, home folders, a notebook's variables."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spade_eval.cli import main
from spade_eval.cli.console.surroundings import with_home
from spade_eval.errors import UserError


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code, *capsys.readouterr()


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = told(capsys, "--version")
    assert code == 0
    name, number = out.split()
    assert name == "spade-eval"
    assert number[0].isdigit()


@pytest.mark.parametrize(
    ("denied", "place", "expected"),
    [
        ("labels/val", "labels/val", "cannot be read (Permission denied)"),
        ("labels/val", "labels/val/b.png", "cannot be read (Permission denied)"),
        ("run", "labels/val/records.jsonl", "cannot be written (Permission denied)"),
        ("", "labels/val/a.png", "cannot be written (Permission denied)"),
    ],
)
def test_what_may_not_be_read_and_what_may_not_be_written(
    denied: str, place: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "labels" / "val").mkdir(parents=True)
    (tmp_path / "labels" / "val" / "a.png").touch()

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path / place))

    monkeypatch.setattr("spade_eval.datasets.tools.check.check_files", refuse)
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith(denied or "-"))
    code, _, error = told(capsys, "data", "check", "--data-root", str(tmp_path))
    assert code == 2
    assert error.startswith(f"error: {tmp_path / place} {expected}")
    assert error.count("\n") == 1


@pytest.mark.parametrize("words", [(), ("benchmark",), ("data", "check")])
def test_h_is_help(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, *words, "-h") == told(capsys, *words, "--help")
    assert told(capsys, *words, "-h")[0] == 0


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("~/run", "HOME/run"),
        ("~", "HOME"),
        ("--out=~/run", "--out=HOME/run"),
        ("mine=~/images", "mine=HOME/images"),
        ("--images=mine=~/images", "--images=mine=HOME/images"),
        ("hf:~/model", "hf:HOME/model"),
        ("a~/b", "a~/b"),
        ("x/~/b", "x/~/b"),
        ("~~", "~~"),
    ],
)
def test_a_tilde_is_the_home_folder(
    word: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "HOME")
    assert with_home(word) == expected


def without_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 7)  # in no list of users


def test_no_home_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    without_home(monkeypatch)
    code, _, err = told(capsys, "weights", "list")
    assert code == 2
    assert err.startswith("error: no home folder is known")
    assert "--weights-dir" in err
    assert err.count("\n") == 1
    assert told(capsys, "weights", "list", "--weights-dir", str(tmp_path))[0] == 0
    with pytest.raises(UserError, match="no home folder is known; set HOME"):
        with_home("--out=~/run")


def test_a_tilde_in_a_flag_reaches_the_folder_of_home(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    code, out, _ = told(capsys, "models", "--csv=~/list.csv")
    assert code == 0, out
    assert (tmp_path / "list.csv").is_file()
    assert not (tmp_path / "~").exists()


def test_plots_need_no_backend_of_a_notebook() -> None:
    program = (
        "import sys; from spade_eval.cli import main\n"
        "try: main(['--version'])\n"
        "except SystemExit: pass\n"
        "import matplotlib; print(matplotlib.get_backend().lower())"
    )
    backend = {"MPLBACKEND": "module://a_notebook.that_is_not_here"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, check=True, env={**os.environ, **backend},
    )  # fmt: skip
    assert done.stdout.split()[-1] == "agg"
