# SPDX-License-Identifier: Apache-2.0
"""A pipeline of diffusers as a row: what decides its images is recorded, and nothing else does."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from source_splits import split_of

from spade_eval.cli import main
from spade_eval.errors import UserError
from spade_eval.models.choices import Sampling
from spade_eval.records import Measurement, RecordStore
from spade_eval.sources.called import CalledGenerator
from spade_eval.sources.diffusers.settings import PipelineSettings
from spade_eval.sources.factories import generator_row

FEW = Sampling(steps=2, guidance=3.0)


def opened(folder: Path, seed: int = 0, name: str = "", **settings: Any) -> CalledGenerator:
    spec = f"diffusers:{folder}{name}"
    asked = PipelineSettings(**{"sampling": FEW, **settings})
    source = generator_row("mine", spec, pipelines=asked)(split_of(seed=seed))
    assert isinstance(source, CalledGenerator)
    return source


def images(source: CalledGenerator) -> torch.Tensor:
    dataset = source.split.dataset
    return source.floats([0, 1], [dataset[0], dataset[1]])


def test_its_settings_are_fields_of_the_row(saved_pipeline: Path) -> None:
    source = opened(saved_pipeline, text_input="classes")
    facts = {
        "source_kind": "diffusers",
        "style_input": "none",
        "sampler": "DDIMScheduler",
        "sampling_steps": 2,
        "guidance": 3.0,
        "text_input": "classes",
    }
    for record in (source.identity, source.provenance):
        assert {name: record[name] for name in facts} == facts
        assert record["condition_palette"].startswith("own ")
    fields = set(Measurement.__dataclass_fields__)
    assert set(source.provenance) <= fields
    weights = sum(
        tensor.numel()
        for file in saved_pipeline.rglob("*.safetensors")
        for tensor in load_file(file).values()
    )
    assert source.provenance["parameters"] == weights
    assert any("the pipeline of diffusers in saved" in note for note in source.notes)
    assert any("texts are longer than its text encoder reads" in note for note in source.notes)


def test_without_flags_steps_and_guidance_are_those_of_its_class(saved_pipeline: Path) -> None:
    source = opened(saved_pipeline, sampling=Sampling(steps=1))
    assert source.identity["guidance"] == 7.5  # StableDiffusionControlNetPipeline's own


def test_the_same_settings_make_the_same_images(saved_pipeline: Path) -> None:
    first, again = opened(saved_pipeline), opened(saved_pipeline)
    made = images(first)
    assert made.shape == (2, 3, 64, 64)
    assert 0 <= made.min() < made.max() <= 1
    torch.testing.assert_close(made, images(again), rtol=0, atol=0)
    assert first.identity == again.identity
    assert not torch.equal(made[0], made[1])
    dataset = first.split.dataset
    # Batches of another size order sums otherwise.
    torch.testing.assert_close(first.floats([1], [dataset[1]])[0], made[1], rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "changed",
    [
        {"sampling": Sampling(steps=3, guidance=3.0)},
        {"sampling": Sampling(steps=2, guidance=1.0)},
        {"sampler": "EulerDiscreteScheduler"},
        {"text_input": "prompt:a house"},
        {"text_input": "classes"},
        {"seed": 1},
    ],
    ids=lambda changed: "-".join(map(str, next(iter(changed.items())))).replace(" ", ""),
)
def test_every_setting_changes_the_images_and_the_row(
    saved_pipeline: Path, changed: dict[str, Any]
) -> None:
    plain, other = opened(saved_pipeline), opened(saved_pipeline, **changed)
    assert plain.identity != other.identity
    assert not torch.equal(images(plain), images(other))


def test_the_label_map_is_seen_in_its_colours(
    saved_pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = opened(saved_pipeline)
    pipeline: Any = source.generator
    monkeypatch.setattr(type(pipeline.palette), "painted", lambda _, maps: _grey(maps))
    dataset = source.split.dataset
    without = source._made([0, 1], [dataset[0], dataset[1]])
    assert not torch.equal(images(source), without)


def _grey(maps: Any) -> Any:
    import numpy as np

    return np.full((*maps.shape, 3), 128, dtype=np.uint8)


def test_other_weights_are_another_row(saved_pipeline: Path, copied_pipeline: Path) -> None:
    file = copied_pipeline / "text_encoder" / "model.safetensors"
    tensors = load_file(file)
    save_file({name: tensor + 1 for name, tensor in tensors.items()}, file, {"format": "pt"})
    # Guidance 1 and an empty text: no pixel need change, yet the content does.
    both = [
        opened(folder, sampling=Sampling(steps=1)) for folder in (saved_pipeline, copied_pipeline)
    ]
    assert both[0].identity["source_sha256"] != both[1].identity["source_sha256"]


def test_a_safety_checker_is_left_out_and_said(copied_pipeline: Path) -> None:
    index = copied_pipeline / "model_index.json"
    found = json.loads(index.read_text())
    found["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    index.write_text(json.dumps(found))
    assert any("blackens images, was left out" in note for note in opened(copied_pipeline).notes)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"sampler": "DDIM"}, "--sampler DDIM: no scheduler of diffusers that fits"),
        ({"sampler": "UNet2DModel"}, "--sampler UNet2DModel: no scheduler"),
        ({"palette": "ade20k"}, "palette ade20k is of the 150 classes of ade20k"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    saved_pipeline: Path, settings: dict[str, Any], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        opened(saved_pipeline, **settings)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (":UNet2DModel", "UNet2DModel is no pipeline of diffusers"),
        (":NoSuchPipeline", "NoSuchPipeline is no pipeline of diffusers"),
        (":DiffusionPipeline", "sees no condition image"),
        (":StableDiffusionPipeline", "StableDiffusionPipeline sees no condition image"),
        (":StableDiffusionControlNetImg2ImgPipeline", "needs a further image"),
        (":os.system", "expected a class of diffusers"),
    ],
)
def test_another_class_is_judged(saved_pipeline: Path, name: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        opened(saved_pipeline, name=name)


def changed(file: Path, **values: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def test_a_network_larger_than_its_weights_is_refused(copied_pipeline: Path) -> None:
    changed(copied_pipeline / "unet" / "config.json", block_out_channels=[40_000, 80_000])
    with pytest.raises(UserError, match=r"weights, .* are stored"):
        opened(copied_pipeline)


@pytest.mark.parametrize(
    ("part", "values"),
    [
        ("text_encoder", {"num_hidden_layers": 1_000_000}),
        ("unet", {"sample_size": 1 << 19}),
        ("unet", {"layers_per_block": 100_000}),
        ("text_encoder", {"vocab_size": 1 << 40}),
    ],
    ids=str,
)
def test_numbers_are_bounded_before_anything_is_built(
    copied_pipeline: Path, part: str, values: dict[str, Any]
) -> None:
    changed(copied_pipeline / part / "config.json", **values)
    with pytest.raises(UserError, match=f"{part}/config.json: .* expected at most"):
        opened(copied_pipeline)


def test_weights_that_can_hold_code_are_refused(copied_pipeline: Path) -> None:
    file = copied_pipeline / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(file), file.with_suffix(".bin"))
    file.unlink()
    with pytest.raises(UserError, match=r"unet has no \.safetensors file"):
        opened(copied_pipeline)


def test_a_broken_folder_is_one_line(copied_pipeline: Path) -> None:
    changed(copied_pipeline / "unet" / "config.json", norm_num_groups=3)
    with pytest.raises(UserError, match="describes no UNet2DConditionModel") as found:
        opened(copied_pipeline)
    assert "\n" not in str(found.value)
    shutil.rmtree(copied_pipeline / "vae")
    with pytest.raises(UserError, match="there is no folder vae"):
        opened(copied_pipeline)


def test_it_is_a_row_of_score(
    four_scenes: None, saved_pipeline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["score", "--generator", f"mine=diffusers:{saved_pipeline}", "--device", "cpu",
               "--out", str(tmp_path / "run"), "--sampling-steps", "1", "--guidance", "1",
               "--sampler", "UniPCMultistepScheduler", "--text-input", "prompt:a photo",
               "--state", "trained_with_segmenter=none"]  # fmt: skip
    with pytest.raises(SystemExit) as ended:
        main(command)
    told = capsys.readouterr()
    assert not ended.value.code, told.err
    (item, *_) = [
        item for item in RecordStore(tmp_path / "run" / "records.jsonl") if item.source == "mine"
    ]
    assert (item.sampler, item.sampling_steps, item.guidance) == ("UniPCMultistepScheduler", 1, 1.0)
    assert (item.text_input, item.trained_with_segmenter) == ("prompt: a photo", "none")
    assert "UniPCMultistepScheduler" in told.out
    with (tmp_path / "run" / "tables" / "scores.csv").open(newline="") as file:
        rows = {row["source"]: row for row in csv.DictReader(file)}
    assert rows["mine"]["trained_with_segmenter"] == "none"
    assert rows["mine"]["real_miou"] == rows["real"]["miou"]
