# SPDX-License-Identifier: Apache-2.0
"""Scores do not know how many processes there were: bit for bit, files included."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from processes import Fork, all_succeed, free_port, world_of

from spade_eval.batches import layout_of
from spade_eval.config import TrainConfig
from spade_eval.datasets.scenes import Scenes
from spade_eval.models.checkpoints.files import save_network
from spade_eval.models.initialisation import initialise
from spade_eval.models.systems.presets import build_generator
from spade_eval.models.systems.settings import settings_of
from spade_eval.models.systems.spade import SPADE
from spade_eval.models.training.distributed import World
from spade_eval.sources.checkpoints import description
from spade_eval.training.generator import batches_at
from spade_eval.workplace import FEW_IMAGES

COUNT = 46  # three batches, the last of six images: two processes get two and one
# What says when, where and how fast.
VOLATILE = ("started", "seconds", "images_per_second", "commit_clean")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A narrow generator with a latent; its images depend on their batch mates in the last bit."""
    dataset = Scenes("val", (64, 64), length=4)
    layout = layout_of(dataset)
    network = build_generator(
        "spade_random", layout.num_labels, image_size=(64, 64), width=4 / 64, seed=0
    )
    initialise(network, "as_trained", 0)
    described = description(network, layout, "scenes", "made for a test", model="spade_random")
    path = tmp_path_factory.mktemp("checkpoint") / "generator.safetensors"
    save_network(path, network.state_dict(), described)
    return path


def command(checkpoint: Path, run: Path) -> list[object]:
    return [
        "spade_eval", "score", f"mine={checkpoint}", "--budget", "smoke", "--limit", COUNT,
        "--samples", 2, "--device", "cpu", "--out", run,
    ]  # fmt: skip


def scored(processes: Sequence[Fork]) -> None:
    all_succeed(processes)
    printed = [process.out for process in processes]
    assert sum("measured now: real" in out for out in printed) == 1, "one process prints"


@pytest.fixture(scope="module")
def by_one(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("one") / "run"
    scored([Fork(*command(checkpoint, run))])
    return run


def records(run: Path) -> list[dict[str, Any]]:
    lines = (run / "records.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    return [{key: value for key, value in item.items() if key not in VOLATILE} for item in found]


def digests(run: Path) -> dict[str, str]:
    """Of everything that is measured; archives hold no times."""
    files = [*run.glob("images/**/*.png"), *run.glob("counts/*"), *run.glob("cache/*")]
    return {
        str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 3])
def test_scores_are_bitwise_those_of_one_process(
    checkpoint: Path, by_one: Path, tmp_path: Path, processes: int
) -> None:
    run = tmp_path / "run"
    scored(world_of(processes, *command(checkpoint, run)))
    assert records(run) == records(by_one)
    assert digests(run) == digests(by_one)
    assert {item["source"] for item in records(run)} >= {"real", "oracle", "mine"}
    assert len(digests(run)) > 4 * FEW_IMAGES, "label maps, photos, oracle and the generator's"


@pytest.mark.slow
def test_two_nodes_are_one_run(checkpoint: Path, by_one: Path, tmp_path: Path) -> None:
    """Two agents on this machine, torchrun's, stand for two machines with a common folder."""
    run, address = tmp_path / "run", f"localhost:{free_port()}"
    flags = ("--gpus", 1, "--nodes", 2, "--rendezvous", address)
    scored([Fork(*command(checkpoint, run), *flags) for _ in range(2)])
    assert records(run) == records(by_one)
    assert digests(run) == digests(by_one)


def test_processes_train_on_parts_of_the_same_batches() -> None:
    dataset = Scenes("train", (64, 64), length=20)
    config = TrainConfig(
        method=settings_of(SPADE, "release"), model="spade", dataset="scenes",
        dataset_sha256="", size=(64, 64), steps=4, batch_size=8,
        accumulate=2, width=0.125, constant_steps=2, decay_every=1, rate_scale=1.0,
        ema_decay=None, perceptual="none", seed=0, settings="release", precision="float32",
        tf32=False, channels_last=False, compile=False,
    )  # fmt: skip
    device = torch.device("cpu")
    whole = batches_at(config, dataset, device, 3)
    parts = [batches_at(config, dataset, device, 3, World(rank, 2)) for rank in range(2)]
    assert len(whole) == 2
    for micro, batch in enumerate(whole):
        assert torch.equal(batch.photos, torch.cat([part[micro].photos for part in parts]))
        noise = torch.cat([part[micro].noise.normal("generator", 5) for part in parts])
        assert torch.equal(batch.noise.normal("generator", 5), noise)
