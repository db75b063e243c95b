# SPDX-License-Identifier: Apache-2.0
"""The in-domain segmenter of a weights folder is trained by one run at a time."""

import threading
import time
from pathlib import Path

import pytest
import torch

from spade_eval.files import locked
from spade_eval.scoring import in_domain
from spade_eval.scoring.in_domain import SegmenterConfig, train_segmenter


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
