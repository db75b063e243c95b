# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of strangers, damaged from seeds: loaded as they were saved, or refused."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from borders import tried
from mutations import damaged, misstated
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from spade_eval.datasets.scenes import Scenes
from spade_eval.errors import UserError
from spade_eval.models.checkpoints.files import load_state, save_network, save_state
from spade_eval.models.checkpoints.published import to_published
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.systems.presets import build_generator
from spade_eval.sources.checkpoints import (
    Checkpoint,
    ReleasedOptions,
    description,
    open_generator,
)

SIZE = (32, 32)
TOLD = ReleasedOptions(upsampling="normal", label_layout="16+edges")


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return build_generator("spade", 17, SIZE, width=1 / 32, seed=3)


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    return Scenes("val", SIZE, length=2)


def is_finite(checkpoint: Checkpoint) -> bool:
    tensors: list[Tensor] = [*checkpoint.network.state_dict().values()]
    return all(bool(tensor.isfinite().all()) for tensor in tensors)


def test_files_of_this_suite(tmp_path: Path, network: nn.Module, scenes: Scenes) -> None:
    """Their format has no checksums: any finite weights are taken, and nothing else."""
    path = tmp_path / "own.safetensors"
    layout = SemanticLayout(num_classes=16, edges=True)
    save_network(
        path,
        network.state_dict(),
        description(network, layout=layout, layout_name="scenes", origin="trained by spade-eval"),
    )
    content = path.read_bytes()
    with safe_open(path, framework="pt") as file:
        stated = json.loads(file.metadata()["spade_eval"])

    def variants() -> Iterator[tuple[int, bytes]]:
        for seed in range(80):
            yield seed, damaged(content, seed)
            # The start of the file, where everything is stated; the rest is numbers.
            yield seed, damaged(content[:6000], seed) + content[6000:]
            text = {"spade_eval": misstated(stated, seed)}
            yield -seed, save(dict(network.state_dict()), text)

    accepted, refused = tried(
        path, variants(), lambda file: open_generator(file, scenes), is_finite
    )
    assert accepted > 0
    assert refused > accepted


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "older form"])
def test_released_files(tmp_path: Path, network: nn.Module, scenes: Scenes, legacy: bool) -> None:
    """Zip files have checksums, so what is accepted is what was saved."""
    path = tmp_path / "latest_net_G.pth"
    torch.save(to_published(network), path, _use_new_zipfile_serialization=not legacy)
    content = path.read_bytes()
    saved = open_generator(path, scenes, TOLD).network.state_dict()

    def right(checkpoint: Checkpoint) -> bool:
        loaded = checkpoint.network.state_dict()
        same = all(torch.equal(loaded[name], tensor) for name, tensor in saved.items())
        return is_finite(checkpoint) and (legacy or same)

    def variants() -> Iterator[tuple[int, bytes]]:
        for seed in range(80):
            yield seed, damaged(content, seed)
            yield seed, damaged(content[:20_000], seed) + content[20_000:]

    _, refused = tried(path, variants(), lambda file: open_generator(file, scenes, TOLD), right)
    assert refused > 0


def test_training_states(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    save_state(path, {"step": 3, "weights": {"a": torch.arange(50.0)}, "names": ["x", None]})
    content = path.read_bytes()

    def read(file: Path) -> dict[str, object]:
        try:
            return load_state(file)
        except ValueError as error:
            raise UserError(str(error)) from error

    def right(state: dict[str, object]) -> bool:
        weights = state["weights"]
        assert isinstance(weights, dict)
        return torch.equal(weights["a"], torch.arange(50.0)) and state["names"] == ["x", None]

    _, refused = tried(path, ((seed, damaged(content, seed)) for seed in range(400)), read, right)
    assert refused > 0
