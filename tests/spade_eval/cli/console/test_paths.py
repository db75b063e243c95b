# SPDX-License-Identifier: Apache-2.0
"""Every path of every command line: what stands in its way is one line, before any work."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from typer.models import ArgumentInfo

from spade_eval.cli import app, main
from spade_eval.cli.console.paths import require
from spade_eval.errors import UserError

WRONG = (
    *("file for a folder", "folder for a file", "below a file", "long name", "dangling link"),
    *("below a dangling link", "not UTF-8", "pipe", "link in a circle"),
)
# Which of the two a path is, by command and name; "*" for all commands.
FOLDERS = {
    *("* data_root", "* weights_dir", "benchmark out", "train out", "score out", "report out"),
    *("bundle runs", "figures washaway out", "figures multimodal out", "figures style out"),
    *("data stats out", "data convert source", "data convert target", "data label photos"),
    *("data label target", "stats make images", "bench generator maps", "bench plot out"),
    *("bench generator instances", "data export target", "figures noise out"),
    *("validate intervals population", "validate intervals out"),
    *("validate stopping population", "validate stopping out"),
    *("data colours target", "data colours back"),
    *("data photos folder", "data photos out", "baselines ship runs"),
    *("export out", "bench gpu out", "bench gpu maps", "bench gpu instances"),
    *("validate people out", "study make run", "study make out", "study serve study"),
    *("study collect study", "study report study", "validate ratings out"),
}
# What a command must have besides.
NEEDED = {"bench gpu": ["--out", "x"], "study make": ["--rows", "real,grey"]}
COMMANDS = typer.main.get_command(app)  # made once: `main` makes it each time
BOTH = {
    "report runs",
    "export runs",
    "bundle out",
}  # `bundle` says which once it knows what is asked for


def _commands(group: typer.Typer, words: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for command in group.registered_commands:
        assert command.callback is not None
        name = command.name or command.callback.__name__.replace("_", "-")
        yield " ".join((*words, name)), command.callback
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        yield from _commands(inner.typer_instance, (*words, str(inner.name)))


def _paths() -> list[tuple[str, str, list[str]]]:
    """Command, parameter, and the words before its value."""
    found = []
    for command, function in _commands(app):
        positional: list[str] = []
        for name, hint in function.__annotations__.items():
            kind, info = (*get_args(hint), None, None)[:2]
            is_path = "pathlib.Path" in str(kind) or kind is Path
            if isinstance(info, ArgumentInfo):
                if is_path:
                    found.append((command, name, list(positional)))
                positional.append("absent")
            elif is_path:
                found.append((command, name, [f"--{name.replace('_', '-')}"]))
    return found


def _wrong_path(folder: Path, kind: str) -> Path:
    file, pipe, link, circle = (folder / name for name in ("file", "pipe", "link", "circle"))
    file.write_text("text")
    os.mkfifo(pipe)
    link.symlink_to(folder / "nowhere")
    circle.symlink_to(circle)
    paths = {
        "file for a folder": file,
        "folder for a file": folder,
        "below a file": file / "x" / "y",
        "long name": folder / ("x" * 300),
        "dangling link": link,
        "below a dangling link": link / "x",
        "not UTF-8": folder / os.fsdecode(b"caf\xe9"),
        "pipe": pipe,
        "link in a circle": circle,
    }
    return paths[kind]


def test_all_paths_are_found() -> None:
    """What is listed here exists, so that a renamed option does not fall out of the tests."""
    found = {f"{command} {name}" for command, name, _ in _paths()}
    assert len(found) > 50
    assert {row for row in FOLDERS | BOTH if not row.startswith("*")} <= found


@pytest.mark.parametrize(
    ("command", "name", "words"), _paths(), ids=[f"{row[0]} {row[1]}" for row in _paths()]
)
def test_what_stands_in_the_way_of_a_path_is_one_line(
    command: str, name: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    is_folder, is_file = bool({f"* {name}", f"{command} {name}"} & FOLDERS), True
    if f"{command} {name}" in BOTH:
        is_folder = is_file = False
    elif is_folder:
        is_file = False
    harmless = {"file for a folder": not is_folder, "folder for a file": not is_file}
    monkeypatch.chdir(tmp_path)
    for kind in WRONG:
        if harmless.get(kind):
            continue
        folder = tmp_path / kind
        folder.mkdir()
        path = _wrong_path(folder, kind)
        before = sorted(os.listdir(folder))
        needed = [] if name == "out" and command == "bench gpu" else NEEDED.get(command, [])
        with pytest.raises(UserError, match=r"^[^\n]+$"):  # `main` prints it, as tested below
            COMMANDS.main([*command.split(), *needed, *words, str(path)], standalone_mode=False)
        assert not any(capsys.readouterr()), kind
        assert sorted(os.listdir(folder)) == before, kind


@pytest.mark.parametrize("kind", [kind for kind in WRONG if kind != "folder for a file"])
@pytest.mark.parametrize(
    "words",
    [["benchmark", "--images"], ["benchmark", "--checkpoint"], ["score"]],
    ids=["--images", "--checkpoint", "score"],
)
def test_paths_with_names_are_looked_at_as_well(
    words: list[str], kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if kind == "file for a folder" and words[-1] != "--images":
        return
    path = _wrong_path(tmp_path, kind)
    with pytest.raises(SystemExit) as ended:
        main([*words, f"mine={path}", "--out", str(tmp_path / "run")])
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert words[-1] in printed.err
    assert not (tmp_path / "run").exists()


def test_bundles_are_files_and_are_unpacked_into_folders(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("text")
    for words in (["bundle", str(tmp_path), "--out", str(tmp_path)],
                  ["bundle", "--extract", str(file), "--out", str(file)]):  # fmt: skip
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 2
        assert "--out" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["DATA", "HOME"])
def test_paths_that_nobody_wrote_are_looked_at_as_well(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("text")
    monkeypatch.setenv("SPADE_EVAL_DATA" if name == "DATA" else "HOME", str(tmp_path / "file"))
    command = ["data", "check"] if name == "DATA" else ["weights", "list"]
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_what_is_sound_or_absent_passes(tmp_path: Path) -> None:
    file, accented = tmp_path / "file", tmp_path / "café"
    file.write_text("text")
    (tmp_path / "link").symlink_to(tmp_path)
    require("--x", file, "file", written=True)
    for path in (
        tmp_path,
        tmp_path / "link",
        tmp_path / "link" / "new",
        accented,
        tmp_path / "a" / "b",
    ):
        require("--x", path, "folder", written=True)
    with pytest.raises(UserError, match="over 230 bytes; expected a file"):
        require("--x", tmp_path / ("x" * 250), "file", written=True)
    require("--x", tmp_path / ("x" * 250), "file")
