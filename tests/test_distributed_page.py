# SPDX-License-Identifier: Apache-2.0
"""The scripts of `docs/distributed.md` run as they stand, and its numbers are the networks'.

Slurm's commands have stand-ins; Ray has none: where it is installed, it runs.
"""

import importlib.util
import math
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import typer.main
from processes import free_port

from spade_eval.cli import app
from spade_eval.config import TrainConfig
from spade_eval.metrics.inception import FEATURE_DIM
from spade_eval.models.labels import LAYOUTS
from spade_eval.models.systems.base import Data
from spade_eval.models.systems.presets import preset_of
from spade_eval.models.systems.settings import resolved
from spade_eval.training.traffic import Traffic, traffic_of

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "distributed.md").read_text("utf-8")
SCRIPTS = re.findall(r"^```(?:bash|python)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
TINY = ["--budget", "smoke", "--steps", "2", "--batch-size", "2", "--width", "0.0625",
        "--perceptual", "none", "--device", "cpu"]  # fmt: skip
# A node for each of `SLURM_NNODES`; what is scheduled again is noted.
STAND_INS = {
    "srun": """shift
for node in $(seq $SLURM_NNODES); do "$@" & tasks="$tasks $!"; done
for task in $tasks; do wait $task || code=$?; done
exit ${code:-0}
""",
    "scontrol": """case $1 in
  show) printf 'localhost\\nother\\n' ;;
  requeue) echo $2 >> "$NOTED" ;;
esac
""",
    "sbatch": 'printf "%q " "$@" >> "$NOTED"; echo >> "$NOTED"; echo 7\n',
    "spade-eval": f'exec {shlex.quote(sys.executable)} -m spade_eval "$@"\n',
}


def script_called(name: str) -> str:
    """The script whose own text says how it is called."""
    (found,) = (
        script for script in SCRIPTS if re.search(rf"^\W*\w+ {re.escape(name)} ", script, re.M)
    )
    return found


def run(
    folder: Path, name: str, *words: object, stand_ins: Mapping[str, str] = STAND_INS
) -> subprocess.CompletedProcess[str]:
    """Run a script of the page as a job of two nodes."""
    (folder / "bin").mkdir()
    for command, text in stand_ins.items():
        (folder / "bin" / command).write_text(f"#!/bin/bash\n{text}")
        (folder / "bin" / command).chmod(0o755)
    (folder / name).write_text(script_called(name))
    slurm = {
        "SLURM_JOB_ID": "41", "SLURM_JOB_NODELIST": "node[1-2]", "SLURM_NNODES": "2",
        "SLURM_GPUS_ON_NODE": "1", "PORT": str(free_port()), "NOTED": str(folder / "noted"),
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    return subprocess.run(
        ["bash", name, *map(str, words)], cwd=folder, env={**os.environ, **slurm},
        capture_output=True, text=True, check=False, timeout=500,
    )  # fmt: skip


@pytest.mark.slow
def test_the_training_script_trains_on_two_nodes(tmp_path: Path) -> None:
    done = run(tmp_path, "train.sbatch", tmp_path / "run", "--model", "spade", *TINY)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(list((tmp_path / "run").glob("checkpoints/*/generator.safetensors"))) == 1
    assert not (tmp_path / "noted").exists(), "a training that is done is not put back"


@pytest.mark.parametrize(("code", "noted"), [(0, "41\n"), (2, None)])
def test_a_stopped_job_is_put_back_and_a_refused_one_is_not(
    tmp_path: Path, code: int, noted: str | None
) -> None:
    """Saved and stopped is exit code 0 without a checkpoint; see test_processes.py."""
    stopped = {**STAND_INS, "spade-eval": f"exit {code}\n"}
    done = run(tmp_path, "train.sbatch", "run", "--model", "spade", stand_ins=stopped)
    assert done.returncode == code, done.stderr
    found = (tmp_path / "noted").read_text() if (tmp_path / "noted").exists() else None
    assert found == noted


@pytest.mark.slow
def test_the_table_script_submits_arrays_of_jobs(tmp_path: Path) -> None:
    done = run(tmp_path, "table.sh", "--table", "3", "--seeds", "2", "--model", "spade",
               "--limit", "4", "--out", "runs", "--gpus", "2", *TINY)  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    lines = (tmp_path / "noted").read_text().splitlines()
    *references, models, report = map(shlex.split, lines)
    for submitted in (*references, models, report):
        assert {"--gpus-per-node=8", "--time=24:00:00", "--requeue"} <= set(submitted)
    assert "--array=0-1%12" in models
    assert "--dependency=afterany:7" in models
    assert "--dependency=afterany:7" in report
    tasks = re.findall(r"exec (\S+ -m spade_eval .*?) >", Path(models[-1]).read_text("utf-8"))
    for seed, task in enumerate(tasks):
        words = shlex.split(task)[3:]
        command = typer.main.get_command(app).get_command(None, words[0])  # type: ignore[attr-defined]
        values = command.make_context("benchmark", words[1:]).params
        assert (values["model"], values["gpus"]) == (["spade"], 2)
        assert values["seed"] == seed
    assert len(tasks) == 2


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
def test_the_ray_program_trains(tmp_path: Path) -> None:
    program = tmp_path / "train_on_ray.py"
    program.write_text(script_called("train_on_ray.py"))
    done = subprocess.run(
        [sys.executable, program, "2", "0", "--model", "spade", *TINY, "--out", tmp_path / "run"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True, text=True, check=False, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(list((tmp_path / "run").glob("checkpoints/*/generator.safetensors"))) == 1


# What the page assumes of the machines.
STEP, LATENCY, FAST, SLOW = 0.5, 5e-6, 25e9, 1.5625e9
IMAGES, BATCH = 5000, 4


def spade_on_coco() -> Traffic:
    """Channels and weights do not depend on the size, so a small one is counted."""
    method, size = resolved(preset_of("spade"), "paper", "cocostuff"), (64, 64)
    config = TrainConfig(
        model="spade", dataset="cocostuff", dataset_sha256="", size=size, settings="paper",
        method=method, steps=1, constant_steps=1, decay_every=1, rate_scale=1.0, ema_decay=None,
        batch_size=32, width=1.0, accumulate=1, perceptual="none", precision="float32",
        tf32=False, channels_last=False, compile=False, seed=0,
    )  # fmt: skip
    layout = LAYOUTS["cocostuff"]["spade"]
    data = Data(num_labels=layout.num_labels, size=size, edges=layout.edges)
    return traffic_of(config, data, images=1)


def row(traffic: Traffic, n: int) -> str:
    """One line of the page's table, by the formulas above it."""
    size, messages = sum(traffic.gradients.values()), len(traffic.gradients)
    hops = 2 * (n - 1)
    ring = hops / n * size
    gradients = [ring / rate + messages * hops * LATENCY for rate in (FAST, SLOW)]
    forward, backward = traffic.forward_channels, traffic.backward_channels
    gathered = 4 * sum(2 * channels + 1 for channels in forward) * (n - 1)
    summed = 4 * sum(2 * channels for channels in backward)
    norms = [
        len(forward) * (n - 1) * LATENCY + gathered / rate
        + len(backward) * 2 * math.log2(n) * LATENCY + 2 * summed / rate
        for rate in (FAST, SLOW)
    ]  # fmt: skip
    parts = [STEP / (STEP + sum(both)) for both in zip(gradients, norms, strict=True)]
    batches = -(-IMAGES // BATCH)
    scoring = batches / n / -(-batches // n)
    seconds = [f"{1000 * one:.1f}" for both in zip(gradients, norms, strict=True) for one in both]
    return (
        f"| {n} | {ring / 1e6:.1f} | {gathered / 1e6:.2f} | {' | '.join(seconds)} | "
        f"{parts[0]:.0%} | {parts[1]:.0%} | {scoring:.0%} |"
    )


def test_the_bytes_and_times_on_paper_are_those_of_the_network() -> None:
    traffic = spade_on_coco()
    assert f"`{traffic}`" in PAGE
    forward, backward = len(traffic.forward_channels), len(traffic.backward_channels)
    assert f"{forward} forward and {backward} backward" in " ".join(PAGE.split())
    for n in (8, 32, 64, 128, 256, 1024):
        assert row(traffic, n) in PAGE
    kept = IMAGES * FEATURE_DIM * 4, IMAGES * 3 * LAYOUTS["cocostuff"]["spade"].num_classes * 4
    assert f"{kept[0] / 1e6:.0f} MB of features and {kept[1] / 1e6:.0f} MB of counts" in PAGE
