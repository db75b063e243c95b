# SPDX-License-Identifier: Apache-2.0
"""Where styles come from: class means, another photo, the photo itself; told, and refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from spade_eval.batches import photos, semantic_map
from spade_eval.cli import options
from spade_eval.datasets.base import Dataset
from spade_eval.datasets.scenes import Scenes
from spade_eval.engine import Benchmark
from spade_eval.errors import UserError
from spade_eval.figures.networks import preserve_variance
from spade_eval.models.checkpoints.files import save_network
from spade_eval.models.checkpoints.published import to_published
from spade_eval.models.choices import StyleInput
from spade_eval.models.generators.sean import SEANGenerator
from spade_eval.models.inputs import Inputs, Noise, Style
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.systems.presets import build_generator
from spade_eval.models.systems.sean import SEAN
from spade_eval.protocol import PROFILES
from spade_eval.rows import Request
from spade_eval.sources.checkpoints import ReleasedOptions, description
from spade_eval.sources.style_photos import StylePhotos
from spade_eval.sources.synthesis import SynthesizedByCheckpoint

SIZE = (64, 64)
LAYOUT = SemanticLayout(num_classes=16, edges=True)
CPU = torch.device("cpu")
SOURCES: tuple[StyleInput, ...] = ("class means", "another photo", "real image (same)")
Make = Callable[..., Benchmark]


@pytest.fixture
def val() -> Dataset:
    return Scenes("val", SIZE, length=4)


@pytest.fixture
def train() -> Dataset:
    return Scenes("train", SIZE, length=5)


def network_with_means(train: Dataset, absent: tuple[int, ...] = ()) -> SEANGenerator:
    """A small network that keeps the means of all classes but those."""
    network = build_generator("sean", LAYOUT.num_labels, SIZE, width=1 / 32)
    assert isinstance(network, SEANGenerator)
    preserve_variance(network, seed=1)
    samples = [train[index] for index in range(len(train))]
    codes, _ = network.encode(
        photos(samples).float() / 127.5 - 1, semantic_map(samples, LAYOUT, CPU)
    )
    images = torch.ones(LAYOUT.num_labels, dtype=torch.int64)
    images[list(absent)] = 0
    network.class_means.set_of(codes.detach().double().mean(dim=0), images)
    return network


def saved(file: Path, network: torch.nn.Module) -> Path:
    described = description(network, LAYOUT, "scenes", "a test")
    save_network(file, network.state_dict(), described)
    return file


def source(file: Path, val: Dataset, train: Dataset, **asked: Any) -> SynthesizedByCheckpoint:
    return SynthesizedByCheckpoint(
        "mine", file, val, PROFILES["in-domain"], CPU, training=lambda: train, **asked
    )


def test_each_source_gives_other_images_and_says_what_it_is(
    tmp_path: Path, val: Dataset, train: Dataset
) -> None:
    file = saved(tmp_path / "sean.safetensors", network_with_means(train))
    samples = [val[0], val[1]]
    made = {style: source(file, val, train, style_input=style) for style in SOURCES}
    images = {style: item.floats([0, 1], samples) for style, item in made.items()}
    assert len({image.numpy().tobytes() for image in images.values()}) == 3
    words = {
        "class means": "mean style over training images",
        "another photo": "a training image drawn",
        "real image (same)": "reconstruction and not label-to-image",
    }
    for style, item in made.items():
        assert item.provenance["style_input"] == item.identity["style_input"] == style
        assert sum(words[style] in note for note in item.notes) == 1
        assert any("noise of every layer" in note for note in item.notes)
        assert torch.equal(images[style], item.floats([0, 1], samples))
        several = item.samples(0, samples[0], 3)
        assert len({image.numpy().tobytes() for image in several}) == 3, style
    usual = source(file, val, train)
    assert torch.equal(images["class means"], usual.floats([0, 1], samples))
    assert usual.identity == made["class means"].identity


@torch.inference_mode()
def test_the_photo_itself_is_that_of_the_label_map(
    tmp_path: Path, val: Dataset, train: Dataset
) -> None:
    network = network_with_means(train).eval()
    file = saved(tmp_path / "sean.safetensors", network)
    made = source(file, val, train, style_input="real image (same)").floats([1], [val[1]])
    semantics = semantic_map([val[1]], LAYOUT, CPU)
    style = Style(photos([val[1]]).float() / 127.5 - 1, semantics)
    images = SEAN.synthesized_by(network, Inputs(semantics, Noise.of_images(0, [1]), style))
    assert torch.allclose(made, (images + 1) / 2, atol=1e-6)


def test_another_photo_belongs_to_seed_image_and_draw(train: Dataset) -> None:
    def drawn(seed: int, indices: list[int], draw: int = 0) -> list[bytes]:
        styles = StylePhotos(train, LAYOUT, CPU, seed).of(indices, [], draw)
        return [photo.numpy().tobytes() for photo in styles.photos]

    known = {
        (photos([train[index]])[0].float() / 127.5 - 1).numpy().tobytes() for index in range(5)
    }
    many = drawn(3, list(range(40)))
    assert set(many) == known, "each training photo is somebody's"
    assert drawn(3, [7]) == many[7:8]
    assert drawn(4, list(range(40))) != many
    assert drawn(3, list(range(40)), 1) != many


def test_a_released_file_has_no_means_and_takes_other_photos(
    tmp_path: Path, val: Dataset, train: Dataset
) -> None:
    network = build_generator("sean", 17, SIZE, width=1 / 32, class_means=False)
    torch.save(to_published(network), tmp_path / "latest_net_G.pth")
    told = ReleasedOptions(upsampling="normal", label_layout="16+edges")
    item = source(tmp_path / "latest_net_G.pth", val, train, released=told)
    assert item.provenance["style_input"] == "another photo"
    assert any("lacks has a code of zeros" in note for note in item.notes)
    assert item.floats([0], [val[0]]).shape == (1, 3, *SIZE)
    with pytest.raises(UserError, match=r"'class means': .* released files have none"):
        source(tmp_path / "latest_net_G.pth", val, train, released=told, style_input="class means")


def test_a_class_without_a_mean_is_named_before_anything_is_made(
    tmp_path: Path, val: Dataset, train: Dataset, benchmark_in: Make
) -> None:
    sky, boat = (val.label_space.class_names.index(name) for name in ("sky", "boat"))
    file = saved(tmp_path / "sean.safetensors", network_with_means(train, (sky,)))
    asked: dict[str, Any] = {"checkpoints": {"mine": file}}
    with pytest.raises(UserError, match="no class mean of sky, which val_00000 shows") as told:
        benchmark_in().rows(Request(**asked))
    assert "\n" not in str(told.value)
    assert 'say "another photo" with --style-input' in str(told.value)
    benchmark_in().rows(Request(**asked, style_inputs={"mine": "another photo"}))
    unseen = [index for index in range(4) if boat not in val[index].label_map]
    assert len(unseen) < 4
    without = source(
        saved(tmp_path / "b.safetensors", network_with_means(train, (boat, 16))), val, train
    )
    few = Scenes("val", SIZE, length=4)
    without.require_styles(few, 0)
    with pytest.raises(UserError, match="no class mean of boat"):
        without.require_styles(few, 4)


def test_rows_are_told_apart_by_their_style(
    tmp_path: Path, train: Dataset, benchmark_in: Make
) -> None:
    file, benchmark = (
        saved(tmp_path / "sean.safetensors", network_with_means(train)),
        benchmark_in(),
    )

    def jobs(**asked: Any) -> set[str]:
        return {
            benchmark.job_sha256(benchmark.rows(Request(**asked, style_inputs={"it": style}))[-1])
            for style in SOURCES
        }

    assert len(jobs(checkpoints={"it": file})) == 3
    styles = [{"sean": style} for style in SOURCES] + [{}]
    rows = [benchmark.rows(Request(("sean",), style_inputs=each))[-1] for each in styles]
    assert len({benchmark.job_sha256(row) for row in rows}) == 4
    with pytest.raises(UserError, match="spade='another photo': spade is given 'none'"):
        benchmark.rows(Request(("spade",), style_inputs={"spade": "another photo"}))
    assert not list(tmp_path.glob("run/checkpoints/*")), "nothing was trained for that"


def test_names_and_styles_of_the_flag() -> None:
    rows = ["mine", "sean"]
    assert options.style_inputs(["sean=another photo"], rows) == {"sean": "another photo"}
    assert options.style_inputs(["mine=real image"], rows) == {"mine": "real image"}
    with pytest.raises(UserError, match=r"expected NAME=STYLE with a NAME of .*\(mine, sean\)"):
        options.style_inputs(["other=none"], rows)
    with pytest.raises(UserError, match="did you mean another photo"):
        options.style_inputs(["sean=another photos"], rows)
