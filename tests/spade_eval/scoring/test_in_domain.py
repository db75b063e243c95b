# SPDX-License-Identifier: Apache-2.0
"""The in-domain segmenter of a weights folder: one run at a time trains it, on labelled pixels."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spade_eval.config import budget_for
from spade_eval.datasets import open_dataset
from spade_eval.errors import UserError
from spade_eval.files import locked
from spade_eval.scoring import in_domain
from spade_eval.scoring.in_domain import SegmenterConfig, segmenter_config, train_segmenter


def test_a_second_run_waits_for_the_weights_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = SegmenterConfig(
        dataset="scenes", dataset_sha256="0", sizes=((32, 32),), steps=1, batch_size=1
    )
    trained: list[Path] = []
    monkeypatch.setattr(in_domain, "_train", lambda _config, _splits, path, _: trained.append(path))
    path = train_segmenter(config, [], tmp_path, torch.device("cpu"))
    assert trained == [path]

    second = threading.Thread(
        target=train_segmenter, args=(config, [], tmp_path, torch.device("cpu"))
    )
    with locked(path.with_suffix(".lock"), wait=False):
        second.start()
        said = ""
        deadline = time.monotonic() + 60
        while "waiting for process" not in said and time.monotonic() < deadline:
            said += capsys.readouterr().err
            time.sleep(0.01)
        assert said.count("\n") == 1
        assert f"at work on {path.stem}" in said
        path.touch()  # the first has made it
    second.join(60)
    assert trained == [path]


@pytest.mark.parametrize("labelled", [False, True])
def test_a_split_without_labelled_pixels_is_refused_before_training(
    tmp_path: Path, labelled: bool
) -> None:
    for kind, channels in (("images", (3,)), ("labels", ())):
        (tmp_path / kind / "train").mkdir(parents=True)
        for name in range(6):
            pixels = np.full((32, 32, *channels), 255, np.uint8)
            if labelled and name == 5:  # only the last one, whose batches are not all
                pixels[:] = 1
            Image.fromarray(pixels).save(tmp_path / kind / "train" / f"{name}.png")
    (tmp_path / "dataset.toml").write_text(
        'images = "images/{split}"\nlabels = "labels/{split}"\nclasses = ["sky", "tree"]\n'
        "ignored = [255]\n"
    )
    split = open_dataset("folder", "train", (32, 32), tmp_path)
    budget = budget_for("folder", "smoke", segmenter_steps=6, segmenter_batch_size=1)
    config = segmenter_config("folder", budget, [split])
    weights = tmp_path / "weights"
    if labelled:
        assert train_segmenter(config, [split], weights, torch.device("cpu")).is_file()
        return
    with pytest.raises(UserError, match=r"no pixel of the 6 label maps of folder \(train\)"):
        train_segmenter(config, [split], weights, torch.device("cpu"))
    assert not list(weights.glob("*.state.pt"))
