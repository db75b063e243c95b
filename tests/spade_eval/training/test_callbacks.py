# SPDX-License-Identifier: Apache-2.0
import json
import types
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from spade_eval.training.callbacks import LossLog, TrackedLosses, tracked_scores
from spade_eval.training.trackers.base import Trackers


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


class Noted:
    """A tracker that remembers what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, dict[str, float]]] = []

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self.told.append((step, dict(values)))

    def image(self, step: int, name: str, pixels: NDArray[np.uint8]) -> None: ...

    def close(self) -> None: ...


def test_trackers_are_told_losses_and_norms_of_gradients() -> None:
    noted = Noted()
    trainer = types.SimpleNamespace(gradient_norms={"G": torch.tensor(2.5)})
    TrackedLosses(Trackers({"noted": noted}), trainer)(7, {"G/gan": 0.5})  # type: ignore[arg-type]
    assert noted.told == [(7, {"G/gan": 0.5, "gradient norm/G": 2.5})]


def test_trackers_are_told_scores_that_have_a_value() -> None:
    noted = Noted()
    line = {"step": 7, "rule": "best mIoU", "miou": 0.25, "fid": None}
    tracked_scores(Trackers({"noted": noted}), lambda _: line)(7)
    assert noted.told == [(7, {"score/miou": 0.25})]
