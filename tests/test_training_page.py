# SPDX-License-Identifier: Apache-2.0
"""The commands of `docs/training.md` run, and what it says of files and budgets is so."""

import re
import shlex
from pathlib import Path

import pytest

from spade_eval.cli import main
from spade_eval.models.systems.presets import systems
from spade_eval.models.systems.settings import settings_of

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "training.md").read_text("utf-8")
COMMANDS = re.findall(r"^(spade-eval .*)$", PAGE, re.M)
TRAIN = ["--budget", "smoke", "--steps", "2", "--batch-size", "2", "--width", "0.0625",
         "--device", "cpu"]  # fmt: skip
BENCH = ["--budget", "smoke", "--steps", "1", "--batch-size", "2", "--width", "0.0625",
         "--warm-up", "0", "--device", "cpu"]  # fmt: skip


def test_there_are_commands() -> None:
    assert len(COMMANDS) >= 5


@pytest.mark.slow
@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_runs(
    line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = shlex.split(line)[1:]
    arguments += [*TRAIN, "--out", "run"] if arguments[0] == "train" else BENCH
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--weights-dir", "weights"])
    assert not ended.value.code, capsys.readouterr().err
    assert capsys.readouterr().out


def test_every_flag_that_is_told_of_is_shown_by_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    shown = capsys.readouterr().out
    for flag in sorted(set(re.findall(r"`(--[a-z0-9-]+)", PAGE)) - {"--diff"}):
        assert flag in shown, flag


@pytest.mark.parametrize(
    ("method", "which", "dataset", "epochs"),
    [
        ("spade", "paper", "cocostuff", (100, 0, 32)),
        ("spade", "paper", "flickr_landscapes", (50, 0, 32)),
        ("spade", "paper", "cityscapes", (100, 100, 32)),
        ("spade", "paper", "ade20k", (100, 100, 32)),
        ("spade", "release", "ade20k", (50, 0, 1)),
        ("pix2pixhd", "paper", "cityscapes", (100, 100, 1)),
        ("crn", "paper", "cityscapes", (200, 0, 1)),
        ("pix2pix", "paper", "cityscapes", (200, 0, 1)),
        ("pix2pix", "release", "cityscapes", (100, 100, 1)),
        ("cyclegan", "release", "cityscapes", (100, 100, 1)),
        ("oasis", "paper", "ade20k", (200, 0, 32)),
        ("oasis", "paper", "cocostuff", (100, 0, 32)),
        ("oasis", "release", "cityscapes", (200, 0, 20)),
        ("sean", "paper", "ade20k", (50, 0, 32)),
        ("sean", "release", "cityscapes", (50, 50, 32)),
        ("sdm", "release", "ade20k", (200, 50, 32)),
        ("ace", "paper", "cocostuff", (100, 0, 32)),
    ],
)
def test_epochs_are_those_of_the_page(
    method: str, which: str, dataset: str, epochs: tuple[int, int, int]
) -> None:
    settings = settings_of(systems()[method], which, dataset)  # type: ignore[arg-type]
    found = (settings.constant_epochs, settings.decay_epochs, settings.batch_size)
    assert found == epochs
