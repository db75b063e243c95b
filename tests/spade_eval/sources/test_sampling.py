# SPDX-License-Identifier: Apache-2.0
"""How images of diffusion models are sampled: asked for, told, recorded, refused elsewhere."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from spade_eval.cli import main
from spade_eval.datasets.base import Dataset
from spade_eval.datasets.scenes import Scenes
from spade_eval.engine import Benchmark
from spade_eval.errors import UserError
from spade_eval.models.checkpoints.files import save_network
from spade_eval.models.choices import Sampling
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.systems.presets import build_generator
from spade_eval.progress import be_quiet
from spade_eval.protocol import PROFILES
from spade_eval.rows import Request
from spade_eval.sources.checkpoints import description
from spade_eval.sources.synthesis import SynthesizedByCheckpoint

Make = Callable[..., Benchmark]
SIZE = (32, 32)


@pytest.fixture(scope="module")
def scenes() -> Dataset:
    return Scenes("val", SIZE, length=2)


def saved(folder: Path, model: str = "sdm", **settings: Any) -> Path:
    """A checkpoint of this suite; zeros would make the same image in any number of steps."""
    network = build_generator(model, 16, SIZE, width=1 / 64, **settings)
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in network.parameters():
            if not weight.any():
                weight.normal_(std=0.05, generator=random)
    layout = SemanticLayout(num_classes=16)
    file = folder / f"{model}.safetensors"
    save_network(file, network.state_dict(), description(network, layout, "scenes", "a test"))
    return file


def source(file: Path, scenes: Dataset, sampling: Sampling) -> SynthesizedByCheckpoint:
    return SynthesizedByCheckpoint(
        "mine", file, scenes, PROFILES["in-domain"], torch.device("cpu"), sampling=sampling
    )


def test_steps_and_guidance_are_the_checkpoint_s_own_unless_asked(
    tmp_path: Path, scenes: Dataset
) -> None:
    file = saved(tmp_path, sampling_steps=3)
    asked = (Sampling(), Sampling(steps=5), Sampling(guidance=1.0), Sampling(steps=3, guidance=0))
    made = [source(file, scenes, sampling) for sampling in asked]
    facts = [(m.provenance["sampling_steps"], m.provenance["guidance"]) for m in made]
    assert facts == [(3, 1.5), (5, 1.5), (3, 1.0), (3, 0.0)]
    assert [m.identity.get("sampling_steps") for m in made] == [None, 5, None, 3]
    assert [m.identity.get("guidance") for m in made] == [None, None, 1.0, 0]
    samples = [scenes[0], scenes[1]]
    images = [item.floats([0, 1], samples).numpy().tobytes() for item in made]
    assert len(set(images)) == len(made)
    said = "--sampling-steps 5 says, in the place of its own 3 steps and guidance 1.5"
    assert any(said in note for note in made[1].notes)
    assert not any("in the place of" in note for note in made[0].notes)
    assert all(any("sampled in" in note for note in item.notes) for item in made)


@pytest.mark.parametrize(
    ("sampling", "told"),
    [
        (Sampling(steps=1001), "--sampling-steps 1001: .* expected 2 to 1000"),
        (Sampling(steps=1), "--sampling-steps 1: .* expected 2 to 1000"),
        (Sampling(guidance=101.0), "--guidance 101: .* expected 0 .*to 100"),
    ],
)
def test_numbers_that_nothing_can_sample_with_are_refused(
    tmp_path: Path, scenes: Dataset, sampling: Sampling, told: str
) -> None:
    with pytest.raises(UserError, match=told) as error:
        source(saved(tmp_path), scenes, sampling)
    assert "\n" not in str(error.value)


def test_what_is_no_diffusion_model_is_refused(tmp_path: Path, scenes: Dataset) -> None:
    file = saved(tmp_path, "spade")
    told = r"--sampling-steps 5 and --guidance 2: the generator of .* is no diffusion model"
    with pytest.raises(UserError, match=told):
        source(file, scenes, Sampling(steps=5, guidance=2))
    assert "sampling_steps" not in source(file, scenes, Sampling()).provenance


def test_rows_of_models_are_other_rows_and_refused_before_any_training(benchmark_in: Make) -> None:
    benchmark = benchmark_in()
    hashes = set()
    for sampling in (Sampling(), Sampling(steps=4), Sampling(guidance=1.0)):
        rows = benchmark.rows(Request(("spade", "sdm"), sampling=sampling))
        by_name = {row.name: row for row in rows}
        hashes.add(benchmark.job_sha256(by_name["sdm"]))
        assert set(by_name["spade"].identity) == {"train_config"}
    assert len(hashes) == 3
    with pytest.raises(UserError, match="--sampling-steps 2000: sdm"):
        benchmark.rows(Request(("sdm",), sampling=Sampling(steps=2000)))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--model", "spade"], "only with a checkpoint or a diffusion model"),
        (["--model", "sdm", "--seeds", "2"], "sample as each model was made to"),
        (["--table", "systems", "--model", "sdm"], "sample as each model was made to"),
    ],
)
def test_flags_are_refused_in_one_line(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["benchmark", *arguments, "--sampling-steps", "5"])
    err = capsys.readouterr().err
    assert ended.value.code == 2
    assert told in err
    assert err.count("\n") == 1


def test_a_long_sampling_says_how_far_it_is_and_nothing_where_quiet(
    tmp_path: Path, scenes: Dataset, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("spade_eval.progress.SECONDS", 0.0)
    item = source(saved(tmp_path, sampling_steps=3, guidance=1.0), scenes, Sampling())
    item.floats([0], [scenes[0]])
    assert "sampling: 2 of 3 steps (67%)" in capsys.readouterr().err
    item.shown = False  # of all processes but the first
    item.floats([0], [scenes[0]])
    assert capsys.readouterr().err == ""
    item.shown = True
    be_quiet(True)
    try:
        item.floats([0], [scenes[0]])
    finally:
        be_quiet(False)
    assert capsys.readouterr().err == ""
