# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path

import pytest

from spade_eval.training.callbacks import LossLog, tensorboard_log


def steps(path: Path) -> list[int]:
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


def test_a_continued_log_drops_what_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "losses.jsonl"
    first = LossLog(path)
    for step in (10, 20, 30):
        first(step, {"loss": 1.0})
    with path.open("a") as file:
        file.write('{"step": 40, "lo')  # a kill in the middle of a line
    again = LossLog(path)
    for step in (20, 30, 40):
        again(step, {"loss": 2.0})
    assert steps(path) == [10, 20, 30, 40]
    assert json.loads(path.read_text().splitlines()[1])["loss"] == 2.0


def test_without_tensorboard_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    assert tensorboard_log(tmp_path) == ()
    assert "TensorBoard is not installed" in capsys.readouterr().err


def test_losses_reach_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
    (write,) = tensorboard_log(tmp_path)
    write(3, {"G/gan": 0.5})
    assert next(path.name for path in tmp_path.iterdir()).startswith("events.out")
