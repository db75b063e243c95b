# SPDX-License-Identifier: Apache-2.0
"""Flags without effect are refused: every one of them, by the condition that stands beside it."""

import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
import typer.main

from spade_eval.cli import app, main
from spade_eval.cli.console.app import App
from spade_eval.cli.console.effects import Effect, effects_of

PAGE = Path(__file__).resolve().parents[4] / "docs" / "command_line.md"


def functions(
    group: typer.Typer = app, words: str = ""
) -> Iterator[tuple[str, Callable[..., Any]]]:
    for item in group.registered_commands:
        assert item.callback is not None
        yield f"{words} {item.name or item.callback.__name__}".strip(), item.callback
    for child in group.registered_groups:
        yield from functions(child.typer_instance, f"{words} {child.name}".strip())


def flags_of(name: str) -> dict[str, str]:
    command: Any = typer.main.get_command(app)
    for word in name.split():
        command = command.commands[word]
    return {item.name: item.opts[0] for item in command.params}


CONDITIONED = [
    (name, flags_of(name)[parameter], effect)
    for name, function in functions()
    for parameter, effect in effects_of(function)
]
# What makes each condition fail, where nothing given does not; and the arguments of commands.
FAILING = {
    "without --table": ["--table", "3"],
    "without --table and several --seeds": ["--seeds", "2"],
    "without --model, --table and several --seeds": ["--model", "spade"],
    "for generators": ["segmenter"],
    "without --out for segmenters": ["segmenter", "--out", "x"],
    "without --verify": ["--verify", "x.zip"],
    "without --diff": ["--diff"],
    "without --back": ["--back", "FOLDER"],
    "without --style-image": ["--style-image", "x.png"],
    "without --maps": ["--maps", "x"],
    "without --training": ["--training"],
    "without --filled-weights": ["--filled-weights"],
    "with --dataset scenes": ["--dataset", "cocostuff"],
    "with a dataset of files": ["--dataset", "scenes"],
    "for one run folder, without --table and --out": ["--out", "x"],
}
ARGUMENTS = {
    "score": ["mine=own.safetensors"], "score --noise-per": ["mine=FOLDER"],
    "score --test-mode": ["mine=FOLDER"], "score --sampling-steps": ["mine=FOLDER"],
    "score --guidance": ["mine=FOLDER"], "report": ["FOLDER"],
    "convert": ["own.safetensors", "x.pth"], "data label": ["FOLDER", "x"],
    "data export": ["x"], "data colours": ["x"],
    "stats make": ["--out", "x.npz"], "export": ["FOLDER", "--out", "x"],
    "bench gpu": ["--out", "x"],
}  # fmt: skip
VALUES = {"--table": "3", "--style-input": "mine=none", "--precision": "bf16", "--split": "val",
          "--settings": "paper", "--ema": "0.5", "--launcher": "local",
          "--noise-per": "class", "--test-mode": "eval", "--label-input": "colours",
          "--rate-decay": "cosine", "--perceptual": "lite0", "--score-by": "fid"}  # fmt: skip
SWITCHES = {
    "--unverified",
    "--thorough",
    "--tf32",
    "--channels-last",
    "--compile",
    "--one-synthesis",
    "--estimate",
}


def test_many_flags_have_a_condition() -> None:
    assert len(CONDITIONED) >= 60


def test_each_condition_that_fails_by_a_flag_is_tried() -> None:
    assert set(FAILING) <= {effect.only for _, _, effect in CONDITIONED}


@pytest.mark.parametrize(
    ("name", "flag", "effect"), CONDITIONED, ids=[f"{name} {flag}" for name, flag, _ in CONDITIONED]
)
def test_a_flag_without_effect_is_refused(
    name: str, flag: str, effect: Effect, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FOLDER").mkdir()
    write_own(tmp_path / "own.safetensors")
    arguments = ARGUMENTS.get(f"{name} {flag}", ARGUMENTS.get(name, []))
    given = [*arguments, *FAILING.get(effect.only, [])]
    if flag == "--report":
        given.append("--no-report")
    elif flag in SWITCHES:
        given.append(flag)
    else:
        given += [flag, VALUES.get(flag, "2")]
    with pytest.raises(SystemExit) as ended:
        main([*name.split(), *given])
    err = capsys.readouterr().err
    assert ended.value.code == 2
    assert f"has an effect only {effect.only};" in err
    assert err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["FOLDER", "own.safetensors"]


def write_own(path: Path) -> None:
    import torch

    from spade_eval.models.checkpoints.files import save_network

    save_network(path, {"weight": torch.zeros(1)}, {"format": 0})


@pytest.mark.parametrize(
    ("condition", "holding"),
    [
        ("with --table or several --seeds", {"seeds": "2"}),
        ("with --table or several --seeds", {"table": "3"}),
        ("with --launcher slurm", {"launcher": "slurm"}),
        ("with folders of images, checkpoints or named models", {"images": ["a=b"]}),
        ("with folders of images, checkpoints or named models", {"checkpoint": ["a=b"]}),
        ("with folders of images, checkpoints or named models", {"model": ["spade"]}),
        ("with folders of images, checkpoints or named models", {"train": ["spade"]}),
        ("with --gpus", {"gpus": 1}),
        ("with several --nodes", {"nodes": 2}),
        ("with a released file", {"checkpoint": ["mine=absent.pth"]}),
        ("with a released file", {"checkpoint": Path("absent.pth")}),
        ("with a dataset of files", {"dataset": "scenes,ade20k"}),
        ("with a dataset of files", {"dataset": "folder", "maps": 3}),
        ("for generators", {"what": "generator"}),
    ],
)
def test_a_condition_holds(condition: str, holding: dict[str, Any]) -> None:
    effect = next(effect for _, _, effect in CONDITIONED if effect.only == condition)
    assert effect.holds(holding)
    assert not effect.holds({"what": "segmenter"})


def test_defaults_are_never_refused_and_words_of_flags_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    only = Effect("with --b", lambda values: values["b"])
    tiny = App()

    @tiny.command()
    def one(
        a: Annotated[bool, typer.Option("--a/--no-a"), only] = True,
        b: Annotated[bool, typer.Option("--b")] = False,
    ) -> None:
        typer.echo(f"{a} {b}")

    for words, expected in (([], "True False\n"), (["--no-a", "--b"], "False True\n")):
        tiny(words, standalone_mode=False)
        assert capsys.readouterr().out == expected
    with pytest.raises(ValueError, match="--no-a has an effect only with --b"):
        tiny(["--no-a"], standalone_mode=False)


def test_the_page_lists_every_condition() -> None:
    _, _, section = PAGE.read_text(encoding="utf-8").partition("## When flags have an effect")
    rows = re.findall(r"^\| `(--[^|]*)` \| (.*?) \| (.*?) \|$", section, re.MULTILINE)
    told = {(flag, only) for flags, only, _ in rows for flag in flags.split("`, `")}
    assert told == {(flag, effect.only) for _, flag, effect in CONDITIONED}
    for flags, only, commands in rows:
        stated = {name for name, flag, effect in CONDITIONED
                  if effect.only == only and flag in flags.split("`, `")}  # fmt: skip
        assert stated == set(re.findall(r"`(.*?)`", commands)), flags


def test_a_flag_has_one_condition_in_one_command() -> None:
    keys = sorted((name, flag) for name, flag, _ in CONDITIONED)
    assert all(one != other for one, other in itertools.pairwise(keys))
