# SPDX-License-Identifier: Apache-2.0
"""The bytes that a training leaves, against files that were written."""

import dataclasses
from pathlib import Path
from typing import Any

import torch

from spade_eval.datasets.scenes import Scenes
from spade_eval.models.checkpoints.files import save_network, save_state
from spade_eval.training.disk_estimate import estimate_disk
from spade_eval.training.generator import batches_at
from spade_eval.training.setup import build_training, data_of

CPU = torch.device("cpu")


def test_files_are_as_large_as_estimated(benchmark_in: Any, tmp_path: Path) -> None:
    """But for headers: names of tensors, which weigh more the smaller a network is."""
    config = benchmark_in().train_config("spade")
    averaged = dataclasses.replace(
        config, ema_decay=0.5, batch_size=2,
        method=dataclasses.replace(config.method, ema_decay=0.5),
    )  # fmt: skip
    scenes = Scenes("train", config.size, length=4)
    data = data_of(averaged, scenes)
    found = estimate_disk(averaged, data)
    trainer = build_training(averaged, data, CPU, Path())
    trainer.step(batches_at(averaged, scenes, CPU, 0), 0)  # Adam's moments are there from now on
    save_state(tmp_path / "state.pt", trainer.state_dict())
    size, tensors = (tmp_path / "state.pt").stat().st_size, 8 * len(trainer.system.state_dict())
    assert found.state <= size <= found.state + 512 * tensors
    save_network(tmp_path / "g.safetensors", trainer.scored_network.state_dict(), {})
    exported = (tmp_path / "g.safetensors").stat().st_size
    assert found.exported <= exported <= found.exported + 200 * tensors
    assert found.at_the_end + found.state + found.exported == found.peak
