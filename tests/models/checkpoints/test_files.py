# SPDX-License-Identifier: Apache-2.0
import os
import pickle
from pathlib import Path

import pytest
import torch

from spade_eval.models.checkpoints import files as checkpoint


class Hostile:
    """Unpickling it would create a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.target),)


def test_state_round_trip(tmp_path: Path) -> None:
    state = {"step": 3, "nested": {"weight": torch.arange(4.0)}, "name": "x"}
    checkpoint.save_state(tmp_path / "state.pt", state)
    loaded = checkpoint.load_state(tmp_path / "state.pt")
    assert loaded["step"] == 3
    assert torch.equal(loaded["nested"]["weight"], torch.arange(4.0))
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_no_code_of_a_state_is_run(tmp_path: Path, legacy: bool) -> None:
    path, target = tmp_path / "state.pt", tmp_path / "touched"
    torch.save({"step": Hostile(target)}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ValueError, match="is not a readable training state"):
        checkpoint.load_state(path)
    assert not target.exists()
    pickle.loads(pickle.dumps(Hostile(target)))
    assert target.exists(), "the test's pickle must be one that does harm"


@pytest.mark.parametrize("content", [b"", b"not a file of torch", b"PK\x03\x04 cut off"])
def test_a_damaged_state_says_what_to_do(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.pt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"state\.pt is not a readable training state.*remove it"):
        checkpoint.load_state(path)


def test_a_failed_write_leaves_the_old_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.pt"
    checkpoint.save_state(path, {"step": 1})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save_state(path, {"step": 2})
    assert checkpoint.load_state(path)["step"] == 1


def test_network_file_carries_its_description(tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    weights = {"weight": torch.randn(2, 3, generator=torch.Generator().manual_seed(0)).T}
    checkpoint.save_network(path, weights, {"model": "spade", "size": [64, 64]})
    assert checkpoint.load_description(path) == {"model": "spade", "size": [64, 64]}
    assert torch.equal(checkpoint.load_weights(path)["weight"], weights["weight"])


@pytest.mark.parametrize("content", [b"", b"{}", bytes(100)])
def test_a_foreign_network_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "foreign.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is not a checkpoint of this suite"):
        checkpoint.load_description(path)
