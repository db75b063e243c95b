# SPDX-License-Identifier: Apache-2.0
"""Several processes as one run, on gloo: forked in the place that torchrun gives them.

Processes of one machine on the CPU; nothing here has seen a GPU or a network. The restart after a
kill is torchrun's own, so that test has a real one.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from processes import all_succeed, world_of
from torch import Tensor

from spade_eval.models.checkpoints.files import load_state
from spade_eval.models.training.distributed import ALONE, World

ROOT = Path(__file__).resolve().parents[3]
WORKERS = Path(__file__).parent / "workers"
Train = Callable[..., Path]


def run(worker: str, *arguments: object, processes: int = 1) -> None:
    """Run a worker file in so many processes."""
    all_succeed(world_of(processes, WORKERS / worker, *arguments))


def run_by_torchrun(worker: str, *arguments: object, processes: int, restarts: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone",
         "--nproc-per-node", str(processes), "--max-restarts", str(restarts),
         str(WORKERS / worker), *map(str, arguments)],
        env={**os.environ, "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-3000:]


def weights_of(folder: Path) -> dict[str, Tensor]:
    """Every tensor of the networks in a training state, by a name that says of which."""
    networks = load_state(folder / "state.pt")["trainable"]
    return {
        f"{network}.{name}": tensor
        for network in ("generator", "discriminator", "encoder", "average")
        for name, tensor in networks.get(network, {}).items()
    }


def largest_difference(one: Path, other: Path) -> float:
    pairs = zip(weights_of(one).items(), weights_of(other).items(), strict=True)
    differences = []
    for (name, a), (also, b) in pairs:
        assert name == also
        differences.append(float((a.double() - b.double()).abs().max()))
    return max(differences)


def tensors(state: Any) -> list[Tensor]:
    if isinstance(state, Tensor):
        return [state]
    values = state.values() if isinstance(state, Mapping) else state
    nested = values if isinstance(state, (Mapping, list, tuple)) else []
    return [tensor for value in nested for tensor in tensors(value)]


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Train:
    """Trains a model in so many processes, once; returns the folder."""
    folders: dict[tuple[str, int], Path] = {}

    def trained(model: str, processes: int) -> Path:
        if (model, processes) not in folders:
            folder = tmp_path_factory.mktemp(f"{model}-{processes}")
            run("gan_worker.py", model, folder, processes=processes)
            folders[model, processes] = folder
        return folders[model, processes]

    return trained


def test_alone_everything_is_the_plain_thing() -> None:
    assert ALONE.is_first
    assert ALONE.share(5) == slice(0, 5)
    assert list(ALONE.dealt(3)) == [0, 1, 2]
    assert ALONE.on_first(lambda: 3) == 3
    assert ALONE.gathered({1: "b", 0: "a"}, 2) == ["a", "b"]
    network = torch.nn.Linear(1, 1)
    network(torch.ones(1, 1)).sum().backward()
    gradient = network.weight.grad
    ALONE.average_gradients(network.parameters())
    assert network.weight.grad is gradient
    assert gradient is not None
    assert float(gradient) == 1.0
    counts = torch.tensor([1, 2])
    assert ALONE.summed(counts) is counts
    assert ALONE.together(counts, lambda rows: rows * 2).tolist() == [2, 4]
    assert ALONE.any(True)
    assert not ALONE.any(False)


@pytest.mark.parametrize("parts", [{0: "a", 2: "c"}, {0: "a", 1: "b", 2: "c", 3: "d"}, {}])
def test_a_missing_or_unknown_part_is_refused(parts: dict[int, str]) -> None:
    with pytest.raises(ValueError, match="expected each of 3 once"):
        ALONE.gathered(parts, 3)


def test_a_batch_is_dealt_evenly_or_not_at_all() -> None:
    shares = [World(rank=rank, size=4).share(8) for rank in range(4)]
    assert [list(range(8))[share] for share in shares] == [[0, 1], [2, 3], [4, 5], [6, 7]]
    with pytest.raises(ValueError, match="6 images cannot be dealt evenly to 4 processes"):
        World(rank=0, size=4).share(6)


def test_no_other_file_of_the_product_imports_torch_distributed() -> None:
    files = [path for package in ("models", "segmenters", "spade_eval", "reports")
             for path in (ROOT / package).rglob("*.py")]  # fmt: skip
    importing = [path.name for path in files if "torch.distributed" in path.read_text("utf-8")]
    assert importing == ["distributed.py"]


@pytest.mark.slow
def test_three_processes_agree(tmp_path: Path) -> None:
    run("world_worker.py", tmp_path, processes=3)
    told = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(3)]
    first = told[0]
    assert [item["share"] for item in told] == [[0, 4], [4, 8], [8, 12]]
    assert first["gathered"] == [f"part {number}" for number in range(7)]
    assert [item["gathered"] for item in told[1:]] == [[], []]
    assert first["few"] == [0, 1], "a process without a part takes part"
    assert sum(claim for item in told for claim in item["claims"]) == 1
    # Of the running sums of 0, 10, 1, 11, 2, 12 each has its own two.
    assert [item["together"] for item in told] == [[[0], [10]], [[11], [22]], [[24], [36]]]
    assert [item["gradients"] for item in told] == [[0, 12], [1, 12], [2, 12]]
    for item in told:
        assert "8 images cannot be dealt evenly to 3 processes" in item["uneven"]
        assert item["from the first"] == "rank 0"
        assert item["its error"] == "refused in process 0"
        assert "missing [1]" in item["missing"]
        assert "doubled [0]" in item["doubled"]
        assert item["summed"] == [3 * 2**60, 3]
        assert item["mean"] == {"loss": 1.0}
        assert item["any"] == [True, False]
        assert item["types"] == ["AllReduceBatchNorm2d", "LocalBatchNorm2d", "Conv2d"]
        assert item["same keys"]
        assert item["started equal"], "every process starts with the weights of the first"
        # Sums of 90 float32 numbers of size 10 in another order.
        assert max(item["batch norm"].values()) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("model", ["spade_random", "spade_vae"])
def test_two_processes_of_four_images_are_one_of_eight(train: Train, model: str) -> None:
    one, two = train(model, 1), train(model, 2)
    assert largest_difference(one, two) < 1e-5  # 20 steps in float32
    losses = [json.loads((folder / "losses.json").read_text()) for folder in (one, two)]
    assert len(losses[0]) == len(losses[1]) == 20
    for expected, found in zip(*losses, strict=True):
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "steps"),
    # CycleGAN's pools are full after seven steps and swap from then on.
    [
        *(
            ("spade", 20),
            ("pix2pixhd", 20),
            ("oasis", 3),
            ("sean", 3),
            ("pix2pix", 5),
            ("cyclegan", 10),
        ),
        *(("munit", 2), ("unit", 2), ("sean", 3), ("sdm", 3)),
    ],
)
def test_every_step_of_two_processes_is_that_of_one(model: str, steps: int, tmp_path: Path) -> None:
    """Some steps, each from the state of the one process.

    Left to themselves these two part after some steps: somewhere a leaky ReLU or the L1 of feature
    matching has its kink between two orders of summation. In float64 they do not.
    """
    run("gan_worker.py", model, tmp_path / "one", "--keep", "--steps", steps)
    follow = ("--follow", tmp_path / "one", "--steps", steps)
    run("gan_worker.py", model, tmp_path / "two", *follow, processes=2)
    distances = json.loads((tmp_path / "two" / "distances.json").read_text())
    assert len(distances) == steps
    assert max(distances) < 1e-5
    losses = [json.loads((tmp_path / name / "losses.json").read_text()) for name in ("one", "two")]
    for expected, found in zip(*losses, strict=True):
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.slow
def test_the_batch_norm_of_table_4_stays_in_its_process(tmp_path: Path) -> None:
    """The control of the test above: where statistics differ, so do the weights, visibly."""
    run("gan_worker.py", "spade_batch", tmp_path / "one", "--steps", 2)
    run("gan_worker.py", "spade_batch", tmp_path / "two", "--steps", 2, processes=2)
    assert largest_difference(tmp_path / "one", tmp_path / "two") > 1e-4


@pytest.mark.slow
def test_a_killed_process_changes_nothing(train: Train, tmp_path: Path) -> None:
    arguments = ("spade_random", tmp_path, "--kill-at", 7)
    run_by_torchrun("gan_worker.py", *arguments, processes=2, restarts=2)
    assert (tmp_path / "killed").read_text() == "7"
    undisturbed, killed = (
        tensors(load_state(folder / "state.pt")) for folder in (train("spade_random", 2), tmp_path)
    )
    assert len(killed) > 100
    assert all(torch.equal(a, b) for a, b in zip(undisturbed, killed, strict=True))


@pytest.mark.slow
def test_another_number_of_processes_continues(train: Train, tmp_path: Path) -> None:
    run("gan_worker.py", "spade_random", tmp_path, "--steps", 12, processes=2)
    run("gan_worker.py", "spade_random", tmp_path)
    assert largest_difference(train("spade_random", 1), tmp_path) < 1e-5
