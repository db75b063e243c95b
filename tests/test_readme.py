# SPDX-License-Identifier: Apache-2.0
"""What the README shows is what works: its commands run, its files and names exist."""

import re
import shlex
from pathlib import Path

import pytest
import torch
from few_scenes import few_scenes

from spade_eval.cli import main
from spade_eval.datasets import DATASETS
from spade_eval.datasets.scenes import Scenes
from spade_eval.models.checkpoints.files import load_description
from spade_eval.models.checkpoints.published import to_published
from spade_eval.models.systems.presets import build_generator
from spade_eval.scoring.in_domain import SHIPPED, load_in_domain, real_scores
from spade_eval.weights import INCEPTION, VGG19

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted(
    {
        line
        for line in re.findall(r"`((?:spade-eval|python run_benchmark\.py)[^`]*)`", README)
        + re.findall(r"^((?:spade-eval|python run_benchmark\.py) .*)$", README, re.MULTILINE)
        if line not in ("spade-eval benchmark",) and "\n" not in line
    }
)
# Commands that need files nobody ships: datasets, and folders of the reader's own.
FOREIGN = re.compile(r"(?<!=)\bDIR\b|\bIN OUT\b")
TINY = {
    "benchmark": ["--budget", "smoke", "--steps", "1", "--batch-size", "2", "--width", "0.0625",
                  "--segmenter-steps", "1", "--limit", "2"],
    "score": ["--budget", "smoke", "--segmenter-steps", "1", "--limit", "2"],
    "train": ["--budget", "smoke", "--size", "64", "--steps", "1", "--batch-size", "2"],
}  # fmt: skip


SHORT = {
    "bench distance": ["--dim", "16", "--n", "30", "--repeats", "1"],
    "bench data": ["--images", "20"],
    "bench generator": ["--size", "64", "--batch", "1", "--width", "0.1", "--repeats", "1"],
    "bench score": ["--size", "64", "--images", "4", "--width", "0.1", "--repeats", "1"],
    "bench train": ["--budget", "smoke", "--steps", "1", "--warm-up", "0"],
    "validate intervals": ["--replications", "4", "--n", "40", "--scenes", "80"],
    "benchmark --table": ["--model", "spade", "--seeds", "1"],
    "paint": ["--time", "1"],
    "study make": ["--questions", "2"],
}


def arguments_of(line: str) -> list[str]:
    words = shlex.split(line)
    return words[1:] if words[0] == "spade-eval" else ["benchmark", *words[2:]]


def test_the_readme_shows_exactly_two_set_up_commands() -> None:
    commands = [line for line in README.splitlines() if line.startswith("pip install")]
    assert commands == [
        "pip install -e . && python run_benchmark.py",
        'pip install -e ".[test]" && pytest',
    ]
    written = re.sub(r"^<!-- scores -->$.*^<!-- /scores -->$", "", README, flags=re.S | re.M)
    assert len(written.splitlines()) <= 200


@pytest.fixture(scope="module")
def run_of_readme(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny run whose files stand for the README's DIR, FILE and runs/NAME."""
    run = tmp_path_factory.mktemp("readme") / "run"
    with pytest.raises(SystemExit):
        main(["benchmark", *TINY["benchmark"], "--out", str(run)])
    return run


def save_like_a_released_file(path: Path) -> None:
    """A narrow generator for COCO-Stuff in the key layout of the authors' files."""
    generator = build_generator("spade", num_labels=184, width=4 / 64)
    torch.save(to_published(generator), path)


@pytest.mark.slow
@pytest.mark.parametrize("line", [line for line in COMMANDS if not FOREIGN.search(line)])
def test_every_command_without_foreign_data_runs(
    line: str,
    run_of_readme: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    save_like_a_released_file(tmp_path / "latest_net_G.pth")
    (checkpoint,) = run_of_readme.glob("checkpoints/spade-*/generator.safetensors")
    given = {
        "DIR": str(run_of_readme / "images" / "oracle"),
        "FILE": str(checkpoint),
        "generator.safetensors": str(checkpoint),
        "runs/NAME": str(run_of_readme),
    }
    arguments = []
    for word in arguments_of(line):
        name, equals, value = word.rpartition("=")
        arguments.append(name + equals + given.get(value, value))
    if arguments[:2] == ["train", "segmenter"]:  # scored on all of val in the tests below
        monkeypatch.setitem(DATASETS, "scenes", few_scenes(20))
    arguments += SHORT.get(" ".join(arguments[:2]), [])
    if arguments[0] in TINY:
        arguments += [*TINY[arguments[0]], "--out", str(tmp_path / "run")]
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert not ended.value.code, capsys.readouterr().err
    assert capsys.readouterr().out


def test_the_shipped_segmenter_is_what_the_readme_says() -> None:
    path = SHIPPED["scenes"]
    assert path.stat().st_size < 1_000_000
    train = load_description(path)["train"]
    assert train["sizes"] == [[128, 128], [64, 64]]
    assert load_in_domain(path, Scenes("val")).num_classes == 16


@pytest.mark.slow
def test_the_shipped_segmenter_reaches_its_miou() -> None:
    promised = [float(value) for value in re.findall(r"(\d\d\.\d\d)% mIoU at 128x128", README)]
    scores = real_scores(SHIPPED["scenes"], Scenes("val", (128, 128)), torch.device("cpu"))
    # Rendering and kernels may round differently elsewhere: 0.2 points.
    assert 100 * scores["miou"] == pytest.approx(promised[0], abs=0.2)
    assert scores["miou"] > 0.8


def test_named_files_exist() -> None:
    for name in ("CITATION.cff", "LICENSE", "spade_eval/protocol/fields.py", "tests/reference"):
        assert (ROOT / name).exists()
    for weights in (INCEPTION, VGG19):
        assert weights.file_name in README
