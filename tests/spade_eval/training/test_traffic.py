# SPDX-License-Identifier: Apache-2.0
"""The counted messages beside those that two processes really send."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from spade_eval.datasets.scenes import Scenes
from spade_eval.engine import Benchmark
from spade_eval.models.training.distributed import World
from spade_eval.training.generator import batches_at
from spade_eval.training.setup import build_training, data_of
from spade_eval.training.traffic import traffic_of

Make = Callable[..., Benchmark]


@pytest.mark.parametrize("model", ["spade", "pix2pixhd"])
def test_the_count_is_what_a_step_sends(
    model: str, benchmark_in: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []

    def send(tensor: torch.Tensor, **_: Any) -> None:
        sent.append(tensor.numel())

    monkeypatch.setattr(dist, "broadcast", lambda *_, **__: None)
    monkeypatch.setattr(dist, "all_reduce", send)
    config = dataclasses.replace(
        benchmark_in().train_config(model), batch_size=2, perceptual="none", width=1 / 16
    )
    dataset, device, world = Scenes("train", (64, 64), length=2), torch.device("cpu"), World(size=2)
    data = data_of(config, dataset)
    training = build_training(config, data, device, tmp_path, world)
    training.step(batches_at(config, dataset, device, 0, world), 0)

    counted = traffic_of(config, data, images=1)
    gradients = [size // 4 for size in counted.gradients.values()]
    # The plain form on the CPU: a count, a sum and a sum of squares going forward, of which the
    # latter two have gradients.
    forward = [size for channels in counted.forward_channels for size in (1, channels, channels)]
    backward = [size for channels in counted.backward_channels for size in (channels, channels)]
    assert sorted(sent) == sorted(gradients + forward + backward)
    assert bool(forward) == (model == "spade"), "pix2pixHD has instance norm"
    assert len(gradients) == 2
    assert counted.norm_messages == len(counted.forward_channels) + len(counted.backward_channels)
