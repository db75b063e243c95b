# SPDX-License-Identifier: Apache-2.0
"""The commands of `docs/speed.md` run, and what it says of the code is so."""

import json
import re
import shlex
from pathlib import Path

import pytest

from spade_eval.cli import main, options
from spade_eval.workplace import FEW_IMAGES

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "speed.md").read_text("utf-8")
COMMANDS = re.findall(r"^(spade-eval .*)$", PAGE, re.M)
# Those that measure what the page shows take minutes, a GPU, or files of the reader's own.
SHORT = [line for line in COMMANDS if not re.search(r"DIR|FILE|lines|cuda|256|1024|--gpus", line)]
LESS = {
    "bench train": ["--budget", "smoke", "--warm-up", "0", "--width", "0.0625"],
    "bench distance": ["--dim", "64", "--repeats", "1"],
    "bench data": ["--images", "8", "--repeats", "1"],
    "bench generator": ["--repeats", "1", "--warm-up", "0"],
    "bench networks": ["--size", "32", "--repeats", "1", "--warm-up", "0"],
}


def test_there_are_commands() -> None:
    assert len(SHORT) >= 5
    assert {line.split()[2] for line in SHORT} >= {
        "generator", "train", "networks", "score", "distance", "data",
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("line", SHORT)
def test_every_short_command_runs(
    line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = shlex.split(line)[1:]
    arguments += LESS.get(" ".join(arguments[:2]), [])
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert not ended.value.code, capsys.readouterr().err
    *table, last = capsys.readouterr().out.splitlines()
    assert table
    assert json.loads(last)["bench"] == arguments[1]


def test_the_number_of_kept_images_is_that_of_the_page() -> None:
    assert f"the first {FEW_IMAGES} of each row" in PAGE
    assert int(options.FEW_IMAGES) == FEW_IMAGES
