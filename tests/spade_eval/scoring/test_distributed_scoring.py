# SPDX-License-Identifier: Apache-2.0
"""Scores do not know how many processes there were: bit for bit, files included."""

import hashlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

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

ROOT = Path(__file__).resolve().parents[3]
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


def command(checkpoint: Path, run: Path, flags: Sequence[str]) -> list[str]:
    return [
        sys.executable, "-m", "spade_eval", "score", f"mine={checkpoint}", "--budget", "smoke",
        "--limit", str(COUNT), "--samples", "2", "--device", "cpu", "--out", str(run), *flags,
    ]  # fmt: skip


def scored(checkpoint: Path, run: Path, *flag_sets: Sequence[str]) -> Path:
    """Run the command once for each set of flags, all at the same time."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            command(checkpoint, run, flags), env=variables, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )
        for flags in flag_sets
    ]  # fmt: skip
    outputs = [process.communicate() for process in processes]
    for process, (_, err) in zip(processes, outputs, strict=True):
        assert process.returncode == 0, err[-3000:]
    assert sum("measured now: real" in out for out, _ in outputs) == 1, "one process prints"
    return run


@pytest.fixture(scope="module")
def by_one(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scored(checkpoint, tmp_path_factory.mktemp("one") / "run", [])


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


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        port: int = listener.getsockname()[1]
    return port


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 3])
def test_scores_are_bitwise_those_of_one_process(
    checkpoint: Path, by_one: Path, tmp_path: Path, processes: int
) -> None:
    run = scored(checkpoint, tmp_path / "run", ["--gpus", str(processes)])
    assert records(run) == records(by_one)
    assert digests(run) == digests(by_one)
    assert {item["source"] for item in records(run)} >= {"real", "oracle", "mine"}
    assert len(digests(run)) > 4 * FEW_IMAGES, "label maps, photos, oracle and the generator's"


@pytest.mark.slow
def test_two_nodes_are_one_run(checkpoint: Path, by_one: Path, tmp_path: Path) -> None:
    """Two agents on this machine stand for two machines with a common folder."""
    flags = ["--gpus", "1", "--nodes", "2", "--rendezvous", f"localhost:{free_port()}"]
    run = scored(checkpoint, tmp_path / "run", flags, flags)
    assert records(run) == records(by_one)
    assert digests(run) == digests(by_one)


def test_processes_train_on_parts_of_the_same_batches() -> None:
    dataset = Scenes("train", (64, 64), length=20)
    config = TrainConfig(
        method=settings_of(SPADE, "release"), model="spade", dataset="scenes",
        dataset_sha256="", size=(64, 64), steps=4, batch_size=8,
        accumulate=2, width=0.125, constant_steps=2, decay_every=1, rate_scale=1.0,
        ema_decay=None, perceptual=False, seed=0, settings="release", precision="float32",
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
