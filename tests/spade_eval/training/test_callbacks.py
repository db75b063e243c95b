# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spade_eval.datasets.scenes import Scenes
from spade_eval.training.callbacks import LossLog, coloured, tensorboard_log, tiled


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


def test_tiles_keep_every_pixel() -> None:
    images = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1).expand(6, 3, 4, 5)
    grid = tiled(images, columns=3, gap=2)
    assert grid.shape == (2 * 6, 3 * 7, 3)
    for index in range(6):
        row, column = divmod(index, 3)
        cell = grid[row * 6 : row * 6 + 4, column * 7 : column * 7 + 5]
        assert (cell == index).all()
    assert (grid[4:6] == 255).all()


def test_label_maps_take_the_dataset_s_colours() -> None:
    dataset = Scenes("val", (64, 64), length=1)
    sample = dataset[0]
    picture = coloured([sample], dataset)[0].permute(1, 2, 0).numpy()
    expected = np.array(dataset.label_space.palette, dtype=np.uint8)[sample.label_map]
    assert np.array_equal(picture, expected)
    Image.fromarray(picture)


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
