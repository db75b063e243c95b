# SPDX-License-Identifier: Apache-2.0
"""`spade-eval train` as a user runs it: its flags, its signals, its disks."""

import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from processes import Fork

from spade_eval.cli import main
from spade_eval.engine import Benchmark
from spade_eval.models.checkpoints.files import load_description, load_weights
from spade_eval.models.training.trainer import Trainer
from spade_eval.training import generator

TINY = ["train", "--budget", "smoke", "--steps", "4", "--batch-size", "2", "--width", "0.0625",
        "--device", "cpu"]  # fmt: skip


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main([*TINY, *arguments])
    return int(ended.value.code or 0)


def checkpoint_in(folder: Path, name: str = "generator.safetensors") -> Path:
    (found,) = folder.glob(f"checkpoints/*/{name}")
    return found


def test_every_option_reaches_the_training(
    four_scenes: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--settings", "paper", "--accumulate", "2", "--precision", "bf16", "--ema", "0.9",
             "--tf32", "--channels-last", "--one-synthesis", "--score-every", "2",
             "--score-images", "3", "--out", str(tmp_path / "run")]  # fmt: skip
    before = torch.backends.cudnn.allow_tf32
    assert run(*flags) == 0
    printed = capsys.readouterr()
    assert printed.out.strip() == str(checkpoint_in(tmp_path / "run"))
    assert "spade: about " not in printed.err, "the memory is estimated on CUDA"
    assert torch.backends.cudnn.allow_tf32 is before or not torch.backends.cudnn.allow_tf32
    description = load_description(checkpoint_in(tmp_path / "run"))
    wanted = {"settings": "paper", "accumulate": 2, "precision": "bf16", "ema_decay": 0.9,
              "tf32": True, "channels_last": True, "one_synthesis": True,
              "compile": False}  # fmt: skip
    assert {name: description["train"][name] for name in wanted} == wanted
    assert description["weights"] == "EMA 0.9"
    assert any("without the perceptual loss" in note for note in description["notes"])
    assert any("one synthesis" in note for note in description["notes"])
    folder = checkpoint_in(tmp_path / "run").parent
    scores = (folder / "scores.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in scores] == [2, 4]
    assert (folder / "best-generator.safetensors").is_file()
    assert list((folder / "grids").glob("*.png"))
    assert (folder / "losses.jsonl").is_file()


@pytest.mark.parametrize(("device", "says"), [("cpu", False), ("cuda", True)])
def test_the_memory_of_a_step_is_told_before_the_start_on_cuda(
    benchmark_in: Callable[..., Benchmark],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    says: bool,
) -> None:
    class StartedError(Exception):
        pass

    def started(*_: object) -> None:
        raise StartedError

    benchmark = benchmark_in()
    monkeypatch.setattr(generator, "build_training", lambda *_: None)
    monkeypatch.setattr(generator, "estimate_memory", lambda *_: "about 3 MiB")
    monkeypatch.setattr(generator, "fill_store", started)
    with pytest.raises(StartedError):
        generator.train_generator(
            benchmark.train_config("spade"), benchmark.dataset, benchmark.place.run_folder,
            torch.device(device), benchmark.place.weights_dir,
        )  # fmt: skip
    assert ("spade: about 3 MiB" in capsys.readouterr().err) is says


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--accumulate", "3"), "--accumulate 3: expected a divisor of the batch size"),
        (("--model", "spaed"), "no generator is called 'spaed'; did you mean spade"),
    ],
)
def test_a_wrong_flag_is_one_line(
    four_scenes: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flags: tuple[str, ...],
    said: str,
) -> None:
    assert run(*flags, "--out", str(tmp_path)) == 2
    error = capsys.readouterr().err.strip()
    assert said in error
    assert len(error.splitlines()) == 1


def _read_terminal(ours: int) -> str:
    """Read what was written on the other side; nothing when that is closed."""
    try:
        return os.read(ours, 4096).decode(errors="replace")
    except OSError:  # as Linux says it
        return ""


@pytest.mark.slow
def test_sigterm_saves_says_how_to_continue_and_exits_with_0(tmp_path: Path) -> None:
    arguments = [*TINY, "--steps", "40", "--out", str(tmp_path / "run with space")]
    ours, terminal = pty.openpty()  # bars are for terminals
    process = subprocess.Popen(
        [sys.executable, "-m", "spade_eval", *arguments], cwd=tmp_path, text=True,
        stderr=terminal, stdout=subprocess.PIPE,
    )  # fmt: skip
    os.close(terminal)
    told = ""
    while not re.search(r"spade: +\d+%[^\r]*\| [2-9]/80", told):  # the bar after the first step
        told += os.read(ours, 1).decode(errors="replace")
    process.send_signal(signal.SIGTERM)
    rest = "".join(iter(lambda: _read_terminal(ours), ""))
    out, _ = process.communicate()
    assert process.returncode == 0, rest
    assert out == ""
    last = rest.strip().splitlines()[-1]
    assert "stopped after step" in last
    command = shlex.split(last.partition("to continue: ")[2])
    assert command == ["spade-eval", *arguments]
    continued = Fork("spade_eval", *command[1:], folder=tmp_path)
    assert continued.succeed().strip().endswith("generator.safetensors")


def test_a_full_disk_is_one_line_and_nothing_is_lost(
    four_scenes: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert run("--out", str(tmp_path / "whole")) == 0
    step: Callable[..., dict[str, torch.Tensor]] = Trainer.step

    def then_full(self: Trainer, batch: object, number: int) -> dict[str, torch.Tensor]:
        if number == 2:
            monkeypatch.setattr(torch, "save", full)
        return step(self, batch, number)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    capsys.readouterr()
    with monkeypatch.context() as patch:
        save = torch.save
        patch.setattr(Trainer, "step", then_full)
        assert run("--out", str(tmp_path / "full")) == 2
        patch.setattr(torch, "save", save)
    monkeypatch.setattr(torch, "save", save)
    lines = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert len(lines) == 1
    assert (
        "state.pt cannot be written (No space left on device); nothing recorded is lost"
        in (lines[0])
    )
    assert run("--out", str(tmp_path / "full")) == 0
    expected, found = (load_weights(checkpoint_in(tmp_path / name)) for name in ("whole", "full"))
    assert all(torch.equal(expected[name], found[name]) for name in expected)
