# SPDX-License-Identifier: Apache-2.0
"""The help of every command: topics, choices by name, the width of the terminal, completion."""

import os
import re
import shutil
import subprocess
import sys
from typing import Any, get_args

import pytest
import typer.main

from spade_eval.bench.variants import PRECISIONS as BENCH_PRECISIONS
from spade_eval.cli import app, main
from spade_eval.cli.console.topics import TOPICS
from spade_eval.config import PRECISIONS, budgets_of
from spade_eval.datasets import DATASETS
from spade_eval.jobs import LAUNCHERS
from spade_eval.metrics.fid_profiles import FID_PROFILES
from spade_eval.models.choices import SettingSet
from spade_eval.protocol import PROFILES, SHORTHANDS
from spade_eval.sources.checkpoints import NUM_UPSAMPLINGS, families


def commands(command: Any = None, words: tuple[str, ...] = ()) -> "list[tuple[str, Any]]":
    command = command or typer.main.get_command(app)
    if not hasattr(command, "commands"):
        return [(" ".join(words), command)]
    return [
        item for name, child in command.commands.items() for item in commands(child, (*words, name))
    ]


COMMANDS = dict(commands())


def told(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_every_command_is_looked_at() -> None:
    assert len(COMMANDS) >= 27


@pytest.mark.parametrize("name", COMMANDS)
def test_flags_stand_under_topics_and_say_what_they_take(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = told(capsys, *name.split(), "--help")
    assert max(map(len, text.splitlines())) <= 80
    sections = re.findall(r"^(\w.*):$", text, re.MULTILINE)
    assert sections == [topic for topic in TOPICS if topic in sections]
    assert sections[-1] == "Output and help"
    for flag in ("--quiet", "--json", "--version", "--help"):
        assert flag in text
    for parameter in COMMANDS[name].params:
        switch = getattr(parameter, "is_flag", False)
        assert switch or parameter.metavar, f"{parameter.name}: nothing says what it takes"
        assert not re.search(r"TEXT|INTEGER|<", parameter.metavar or "")


def test_help_fills_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths = []
    for columns in ("60", "140"):
        monkeypatch.setenv("COLUMNS", columns)
        text = told(capsys, "benchmark", "--help")
        # A long name of a flag may stick out of a narrow terminal, text does not.
        lengths.append(max(len(line) for line in text.splitlines() if "  --" not in line))
    assert lengths[0] <= 60
    assert 100 < lengths[1] <= 140


def metavars(flag: str) -> set[str]:
    return {
        str(parameter.metavar)
        for command in COMMANDS.values()
        for parameter in command.params
        if flag in parameter.opts
    }


def helps(flag: str) -> str:
    return " ".join(
        parameter.help or ""
        for command in COMMANDS.values()
        for parameter in command.params
        if flag in parameter.opts
    )


@pytest.mark.parametrize(
    ("flag", "known"),
    [
        ("--budget", {name for dataset in DATASETS for name in budgets_of(dataset)}),
        ("--launcher", set(LAUNCHERS)),
        ("--upsampling", set(NUM_UPSAMPLINGS)),
        ("--synthesis-precision", set(PRECISIONS)),
        ("--settings", set(get_args(SettingSet))),
        ("--precision", {*PRECISIONS, *BENCH_PRECISIONS}),
        ("--store", {"moments", "features"}),
        ("--split", {"train", "val"}),
    ],
)
def test_choices_are_those_that_are_known(flag: str, known: set[str]) -> None:
    assert {name for metavar in metavars(flag) for name in metavar.split("|")} == known


@pytest.mark.parametrize(
    ("flag", "known"),
    [
        ("--dataset", DATASETS),
        ("--profile", {**PROFILES, **SHORTHANDS}),
        ("--fid-profile", FID_PROFILES),
        ("--arch", dict.fromkeys(families())),
    ],
)
def test_longer_choices_are_in_the_help(flag: str, known: dict[str, Any]) -> None:
    for name in known:
        assert name in helps(flag)


@pytest.mark.parametrize("words", [(), *(tuple(name.split()) for name in COMMANDS)])
def test_every_command_tells_the_version(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(capsys, *words, "--version") == told(capsys, "--version")


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_completes() -> None:
    program = f"{sys.executable} -m spade_eval --show-completion; true"
    shown = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    assert "complete -o default -F _spade_eval_completion spade-eval" in shown.stdout
    asked = {
        "_SPADE_EVAL_COMPLETE": "complete_bash", "COMP_WORDS": "spade-eval tr", "COMP_CWORD": "1",
    }  # fmt: skip
    words = [sys.executable, "-m", "spade_eval"]
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, **asked})
    assert done.stdout.split() == ["train"]
