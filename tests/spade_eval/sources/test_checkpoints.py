# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of both kinds: what is read from them, what must be told, what is refused."""

import math
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from spade_eval.datasets.base import Dataset, LabelSpace
from spade_eval.datasets.coco_stuff import CocoStuff
from spade_eval.datasets.scenes import Scenes
from spade_eval.engine import Benchmark, Request
from spade_eval.errors import UserError
from spade_eval.models.checkpoints.files import load_description, load_weights, save_network
from spade_eval.models.checkpoints.published import to_published
from spade_eval.models.choices import NoisePer
from spade_eval.models.colours import written_palette
from spade_eval.models.discriminators.images import ImageDiscriminator
from spade_eval.models.encoders import ImageEncoder
from spade_eval.models.fast.spade import FastSPADE
from spade_eval.models.inputs import Noise
from spade_eval.models.labels import LAYOUTS, SemanticLayout
from spade_eval.models.systems.presets import build_generator
from spade_eval.protocol import PROFILES
from spade_eval.sources.checkpoints import (
    ReleasedOptions,
    description,
    open_checkpoint,
    open_generator,
)
from spade_eval.sources.synthesis import SynthesizedByCheckpoint

SIZE = (64, 64)
SCENES = SemanticLayout(num_classes=16, edges=True)
# What a user says of a SPADE file that was trained on `scenes` with the release's own code.
TOLD = ReleasedOptions(upsampling="normal", label_layout="16+edges")
Make = Callable[..., Benchmark]


def released(path: Path, network: nn.Module, **changes: Any) -> Path:
    """A file in the released key layout; `None` removes an entry."""
    tensors: dict[str, Any] = {**to_published(network), **changes}
    torch.save({name: value for name, value in tensors.items() if value is not None}, path)
    return path


def generator(name: str = "spade", num_labels: int = 17, **settings: Any) -> nn.Module:
    return build_generator(name, num_labels, SIZE, width=1 / 32, seed=3, **settings)


@pytest.fixture
def scenes() -> Dataset:
    return Scenes("val", SIZE, length=4)


@pytest.fixture(params=[True, False], ids=["instances", "no instances"])
def coco(request: pytest.FixtureRequest, tmp_path: Path) -> Dataset:
    kinds = ("img", "label", "inst") if request.param else ("img", "label")
    for kind in kinds:
        path = tmp_path / "coco" / f"val_{kind}" / "000000000139.png"
        path.parent.mkdir(parents=True)
        shape = (64, 64, 3) if kind == "img" else (64, 64)
        Image.fromarray(np.full(shape, 255, np.uint8)).save(path)
    return CocoStuff("val", SIZE, tmp_path / "coco")


def test_a_released_file_is_read_from_its_shapes(tmp_path: Path, scenes: Dataset) -> None:
    network = generator()
    found = open_generator(released(tmp_path / "latest_net_G.pth", network), scenes, TOLD)
    assert (found.config.base_channels, found.config.upsampling) == (2, "normal")
    assert found.layout == SCENES
    assert not found.network.training
    assert found.description["origin"] == "released: latest_net_G.pth"
    assert found.description["layout_name"] == "16+edges"
    assert found.description["train"] is None
    assert "label layout 16+edges" in found.description["notes"][0]
    for name, tensor in network.state_dict().items():
        assert torch.equal(found.network.state_dict()[name], tensor)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (ReleasedOptions(), r"set upsampling .*--upsampling"),
        (ReleasedOptions(upsampling="normal"), r"17 label channels.*--label-layout"),
        (ReleasedOptions(upsampling="normal", label_layout="coco_stuff"), "has 184 channels"),
        (ReleasedOptions(arch="pix2pixhd", upsampling="normal"), r"holds a spade.*--arch"),
        (ReleasedOptions(upsampling="most", label_layout="16+edges"), "does not fit"),
        (ReleasedOptions(upsampling="normal", label_layout="15+unknown-last+edges"), "15 classes"),
    ],
)
def test_what_is_not_told_is_asked_for(
    tmp_path: Path, scenes: Dataset, options: ReleasedOptions, message: str
) -> None:
    file = released(tmp_path / "G.pth", generator())
    with pytest.raises(UserError, match=message) as refused:
        open_generator(file, scenes, options)
    assert "\n" not in str(refused.value)
    assert str(file) in str(refused.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"arch": "spad"}, "did you mean spade"),
        ({"upsampling": "few"}, "no number of upsamplings"),
        ({"label_layout": "ade"}, "expected coco_stuff, ade20k_raw"),
        ({"label_layout": "19+edges+unknown-last"}, "in order as CLASSES"),
    ],
)
def test_wrong_flags_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ReleasedOptions(**options)


def test_all_faults_of_a_file_are_reported_together(tmp_path: Path, scenes: Dataset) -> None:
    changes = {
        "conv_img.bias": torch.zeros(4), "up_0.conv_s.weight_u": None, "extra": torch.zeros(1),
    }  # fmt: skip
    file = released(tmp_path / "G.pth", generator(), **changes)
    with pytest.raises(UserError, match="does not fit the network") as refused:
        open_generator(file, scenes, TOLD)
    for part in ("1 missing: up_0.conv_s.weight_u", "1 unexpected: extra", "1 of wrong shape"):
        assert part in str(refused.value)


@pytest.mark.parametrize("layout", ["ade20k_raw", "ade20k_shifted"])
def test_the_two_orders_of_ade20k_are_asked_for_and_stored(tmp_path: Path, layout: str) -> None:
    file = released(tmp_path / "G.pth", generator(num_labels=151))
    with pytest.raises(UserError, match=r"ade20k_raw or ade20k_shifted.*--label-layout"):
        open_checkpoint(file)
    found = open_checkpoint(file, ReleasedOptions(label_layout=layout))
    assert found.description["layout_name"] == layout
    assert found.description["layout"]["unknown"] == ("first" if "raw" in layout else "last")


def test_instance_maps_are_asked_for_by_the_edge_channel(tmp_path: Path, coco: Dataset) -> None:
    file = released(tmp_path / "G.pth", generator(num_labels=184))
    if coco.has_instances:
        assert open_generator(file, coco).layout == SemanticLayout(
            num_classes=182, unknown="last", edges=True
        )
        return
    with pytest.raises(
        UserError, match=r"184 channels .* instance edges.*no instance maps.*--data"
    ):
        open_generator(file, coco)


def test_channels_that_do_not_fit_the_dataset_are_refused(
    tmp_path: Path, scenes: Dataset, coco: Dataset
) -> None:
    file = released(tmp_path / "G.pth", generator(num_labels=184))
    with pytest.raises(
        UserError, match=r"184 label channels of 182 classes .*expected 16 .*--dataset"
    ):
        open_generator(file, scenes)
    known = released(tmp_path / "known.pth", generator(num_labels=182))
    options = ReleasedOptions(upsampling="normal", label_layout="182")
    with pytest.raises(UserError, match=r"none for unlabelled pixels.*--label-layout"):
        open_generator(known, coco, options)


def test_the_empty_channel_of_the_released_cityscapes_networks_is_accepted(
    tmp_path: Path,
) -> None:
    dataset = Scenes("val", SIZE, length=1)
    dataset.name = "cityscapes"
    dataset.layouts = LAYOUTS["cityscapes"]
    dataset.label_space = LabelSpace(
        class_names=tuple(map(str, range(34))), palette=((0, 0, 0),) * 34, has_unlabelled=False
    )
    file = released(tmp_path / "G.pth", generator(num_labels=36, upsampling="more"))
    assert open_generator(file, dataset).description["layout_name"] == "cityscapes"
    for num_labels, classes in ((35, 34), (34, 33)):
        file = released(tmp_path / f"{num_labels}.pth", generator(num_labels=num_labels))
        told = ReleasedOptions(upsampling="normal", label_layout=f"{classes}+edges")
        if classes == 34:
            assert open_generator(file, dataset, told).layout is not None
        else:
            with pytest.raises(UserError, match="expected 35 classes"):
                open_generator(file, dataset, told)


def test_other_networks_are_no_generators(tmp_path: Path, scenes: Dataset) -> None:
    encoder = ImageEncoder(ImageEncoder.Config(base_channels=2, z_dim=4))
    file = released(tmp_path / "latest_net_E.pth", encoder)
    assert open_checkpoint(file).config == encoder.config
    with pytest.raises(UserError, match="holds a ImageEncoder, expected a generator"):
        open_generator(file, scenes)


class Bomb:
    """Unpickled freely, it would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("kind", ["code", "code among tensors", "text", "cut off", "two"])
def test_hostile_and_foreign_files_are_refused_and_not_run(tmp_path: Path, kind: str) -> None:
    file, sign = tmp_path / "G.pth", tmp_path / "run"
    if kind == "code":
        file.write_bytes(pickle.dumps(Bomb(sign)))
    elif kind == "code among tensors":
        torch.save({"fc.weight": torch.zeros(2), "b": Bomb(sign)}, file)
    elif kind == "text":
        file.write_text("no checkpoint")
    elif kind == "cut off":
        whole = released(tmp_path / "whole.pth", generator()).read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
    else:
        torch.save({name: to_published(generator()) for name in ("model", "generator")}, file)
    with pytest.raises(UserError) as refused:
        open_checkpoint(file, TOLD)
    assert str(file) in str(refused.value)
    assert not sign.exists()


def test_what_was_taken_of_several_networks_is_a_note_of_the_checkpoint(tmp_path: Path) -> None:
    networks = {name: to_published(generator()) for name in ("netG", "netG_ema")}
    torch.save(
        {**networks, "epoch": 3, "optimizer": {"state": {0: torch.zeros(1)}}}, tmp_path / "G.pth"
    )
    notes = open_checkpoint(tmp_path / "G.pth", TOLD).description["notes"]
    assert notes[1:] == ["Of the networks in the file (netG, netG_ema), netG_ema was taken."]


def own(path: Path, network: nn.Module, **changes: Any) -> Path:
    described = description(network, SCENES, "scenes", "a test") | changes
    save_network(path, network.state_dict(), described)
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layout": "everything"}, "layout is 'everything'"),
        ({"layout": {"num_classes": "x"}}, "num_classes is 'x', expected int"),
        ({"layout": {"num_classes": 3, "unknown": "x"}}, "unknown is 'x', expected one of none"),
        ({"train": 5}, "train is 5"),
        ({"train_config_sha256": math.nan}, "train_config_sha256 is nan"),
        ({"train": {"seed": math.inf}}, "train is"),
        ({"origin": ["x"]}, "origin is"),
        ({"config": {"num_labels": 1}}, "lacks or adds"),
        ({"notes": 5}, "notes is 5"),
        ({"notes": ["a", 5]}, "notes is"),
        ({"format": 99}, "format 99"),
    ],
)
def test_a_damaged_description_is_refused(
    tmp_path: Path, scenes: Dataset, change: dict[str, Any], message: str
) -> None:
    file = own(tmp_path / "own.safetensors", generator(), **change)
    with pytest.raises(UserError, match=message):
        open_generator(file, scenes)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("write", [own, released])
def test_one_element_that_is_not_finite_is_refused_by_name(
    tmp_path: Path, write: Callable[..., Path], value: float
) -> None:
    network = generator()
    name = next(name for name, _ in network.named_parameters() if name.endswith("weight"))
    with torch.no_grad():
        network.get_parameter(name).view(-1)[-1] = value
    theirs = name if write is own else next(iter(to_published(network, {name: torch.zeros(1)})))
    with pytest.raises(UserError, match=f"{re.escape(theirs)}: NaN or infinity") as raised:
        open_checkpoint(write(tmp_path / "net_G.pth", network), TOLD)
    assert "\n" not in str(raised.value)


def test_a_buffer_that_is_not_finite_is_refused_by_name(tmp_path: Path) -> None:
    network = generator()
    name = next(name for name, _ in network.named_buffers() if name.endswith("running_var"))
    network.get_buffer(name)[0] = math.inf
    with pytest.raises(UserError, match=f"{re.escape(name)}: NaN or infinity"):
        open_checkpoint(own(tmp_path / "net_G.safetensors", network))


def test_a_checkpoint_is_what_its_content_says_not_its_name(
    tmp_path: Path, scenes: Dataset
) -> None:
    assert open_generator(own(tmp_path / "own.pth", generator()), scenes).layout == SCENES
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes((tmp_path / "own.pth").read_bytes()[:-9])
    with pytest.raises(UserError, match="cannot be read as a checkpoint"):
        open_generator(cut, scenes)


@pytest.mark.parametrize("write", [own, released])
def test_opened_networks_take_the_fast_forms(tmp_path: Path, write: Callable[..., Path]) -> None:
    opened = open_checkpoint(write(tmp_path / "net_G.pth", generator()), TOLD)
    assert any(isinstance(layer, FastSPADE) for layer in opened.network.modules())


@pytest.mark.parametrize(
    ("size", "network", "message"),
    [
        ((80, 80), {}, r"multiples of 32 pixels, this run is 80x80: set --size"),
        ((128, 128), {"name": "spade_vae"}, r"64x64 images .*128x128: set --size 64x64"),
        (SIZE, {"name": "pix2pixhd", "num_features": 3}, "3 channels of instance features"),
    ],
)
def test_sizes_and_inputs_that_do_not_fit_are_refused(
    tmp_path: Path, size: tuple[int, int], network: dict[str, Any], message: str
) -> None:
    file = own(tmp_path / "own.safetensors", generator(**network))
    with pytest.raises(UserError, match=message):
        open_generator(file, Scenes("val", size, length=1))


@pytest.mark.parametrize("train", [{"steps": "x"}, {"seed": [1]}, {"method": 3}])
def test_a_training_that_no_record_could_hold_is_refused_before_scoring(
    tmp_path: Path, scenes: Dataset, train: dict[str, Any]
) -> None:
    file = own(tmp_path / "own.safetensors", generator(), train={"dataset": "scenes", **train})
    with pytest.raises(UserError, match=r"^checkpoint [^\n]*(train_\w+|seed) is [^\n]*, expected"):
        SynthesizedByCheckpoint("mine", file, scenes, PROFILES["in-domain"], torch.device("cpu"))


def test_latents_belong_to_seed_and_image() -> None:
    together = Noise.of_images(5, [0, 1, 2]).normal("z", 8)
    assert torch.equal(together[1:], Noise.of_images(5, [1, 2]).normal("z", 8))
    assert not torch.equal(together, Noise.of_images(6, [0, 1, 2]).normal("z", 8))
    many = Noise.of_images(0, range(100)).normal("z", 100)
    # 10,000 numbers: their mean lies within 0.01 of 0 with deviation, five deviations allowed.
    assert abs(float(many.mean())) < 0.05
    assert float(many.std()) == pytest.approx(1, abs=0.05)


def test_generators_with_a_latent_are_scored(tmp_path: Path, scenes: Dataset) -> None:
    file = released(tmp_path / "G.pth", generator("spade_vae"))
    told = ReleasedOptions(label_layout="16+edges")
    samples = [scenes[index] for index in range(4)]

    def source(seed: int) -> SynthesizedByCheckpoint:
        return SynthesizedByCheckpoint(
            "vae", file, scenes, PROFILES["in-domain"], torch.device("cpu"),
            released=told, seed=seed,
        )  # fmt: skip

    one = source(1)
    images = one.floats(range(4), samples)
    assert torch.equal(images, source(1).floats(range(4), samples))
    # Kernels of another batch size may round differently.
    late = one.floats([2, 3], samples[2:])
    assert (images[2:] - late).abs().max() <= 1 / 255
    assert any("seed 1" in note and "latent z" in note for note in one.notes)
    assert one.identity != source(2).identity


def test_a_released_checkpoint_is_measured_and_recorded(benchmark_in: Make, tmp_path: Path) -> None:
    file = released(tmp_path / "latest_net_G.pth", generator())
    benchmark = benchmark_in()
    request = Request((), checkpoints={"theirs": file}, released=TOLD)
    assert benchmark.run(request) == ["real", "oracle", "grey", "label colours", "theirs"]
    assert benchmark.run(request) == []
    item = next(item for item in benchmark.store if item.source == "theirs")
    assert item.source_kind == "checkpoint"
    assert (item.train_steps, item.train_config_sha256, item.checkpoint_rule) == (None, None, None)
    assert any("label layout 16+edges, as --label-layout says" in note for note in item.notes)
    described = open_generator(file, benchmark.dataset, TOLD)
    mine = tmp_path / "mine.safetensors"
    save_network(mine, described.network.state_dict(), dict(described.description))
    benchmark.run(Request((), checkpoints={"mine": mine}))
    values = {
        name: [item.value for item in benchmark.store if item.source == name]
        for name in ("theirs", "mine")
    }
    assert values["mine"] == values["theirs"]


def test_a_trained_checkpoint_says_all_that_is_needed(trained_in: Make) -> None:
    benchmark = trained_in()
    file = benchmark.train("concat")
    found = load_description(file)
    assert (found["network"], found["model"]) == ("SPADEGenerator", "concat")
    assert found["config"]["concat"] is True
    assert (found["layout_name"], found["train"]["dataset"]) == ("scenes", "scenes")
    assert found["train_config_sha256"]
    assert set(load_weights(file)) == set(open_checkpoint(file).network.state_dict())


@pytest.mark.parametrize(("said", "named"), [(True, "vgg19"), (False, "none"), ("lite0", "lite0")])
def test_old_files_that_say_whether_there_was_a_perceptual_loss_are_scored(
    said: object, named: str, tmp_path: Path, scenes: Dataset
) -> None:
    train = {"dataset": "scenes", "perceptual": said, "steps": 9}
    file = own(tmp_path / "old.safetensors", generator(), train=train)
    source = SynthesizedByCheckpoint(
        "old", file, scenes, PROFILES["in-domain"], torch.device("cpu")
    )
    assert (source.provenance["train_perceptual"], source.provenance["train_steps"]) == (named, 9)


OASIS_DATA = {"ade20k": (150, 151), "cocostuff": (182, 183), "cityscapes": (34, 35)}


def data_of(name: str) -> Dataset:
    """A split with the label space and the layouts of a dataset of files."""
    num_classes, _ = OASIS_DATA[name]
    dataset = Scenes("val", SIZE, length=2)
    dataset.name, dataset.layouts = name, LAYOUTS[name]
    dataset.label_space = LabelSpace(
        class_names=tuple(map(str, range(num_classes))),
        palette=tuple((index, 0, 0) for index in range(num_classes)),
        has_unlabelled=name != "cityscapes",
    )
    return dataset


@pytest.mark.parametrize("name", OASIS_DATA)
def test_released_oasis_files_need_no_flags(tmp_path: Path, name: str) -> None:
    """`best_EMA.pth` of each dataset: recognised, in its own order of labels, and stochastic."""
    _, num_labels = OASIS_DATA[name]
    network = generator("oasis", num_labels)
    file, dataset = released(tmp_path / "best_EMA.pth", network), data_of(name)
    found = open_generator(file, dataset)
    assert found.layout == LAYOUTS[name]["oasis"]
    assert found.network.config == network.config
    assert "Released file best_EMA.pth (oasis)" in found.description["notes"][0]
    other = data_of("ade20k" if name != "ade20k" else "cocostuff")
    with pytest.raises(UserError, match=f"takes {num_labels} label channels .*--dataset") as told:
        open_generator(file, other)
    assert "\n" not in str(told.value)


def test_noise_within_an_image_is_told_counted_and_refused_elsewhere(
    tmp_path: Path, scenes: Dataset
) -> None:
    def source(model: str, noise_per: NoisePer) -> SynthesizedByCheckpoint:
        network = generator(model, 16)
        file = tmp_path / f"{model}.safetensors"
        layout = SemanticLayout(num_classes=16)
        save_network(file, network.state_dict(), description(network, layout, "scenes", "a test"))
        return SynthesizedByCheckpoint(
            model, file, scenes, PROFILES["in-domain"], torch.device("cpu"), noise_per=noise_per
        )

    samples = [scenes[0], scenes[1]]
    made = {kind: source("oasis", kind) for kind in get_args(NoisePer)}
    images = {kind: item.floats([0, 1], samples) for kind, item in made.items()}
    assert len({image.numpy().tobytes() for image in images.values()}) == 3
    assert "noise_per" not in made["image"].identity, "as rows of before"
    assert made["region"].identity["noise_per"] == "region"
    assert "for each class of each image" in made["class"].notes[-1]
    for kind, item in made.items():
        several = item.samples(0, samples[0], 3)
        assert len({image.numpy().tobytes() for image in several}) == 3, kind
        assert torch.equal(images[kind], item.floats([0, 1], samples))
    for model in ("spade", "oasis_without_noise"):
        with pytest.raises(UserError, match=r"--noise-per class: .* no noise that may vary"):
            source(model, "class")


def test_rows_of_checkpoints_take_the_noise_that_was_asked_for(
    tmp_path: Path, benchmark_in: Make
) -> None:
    file, network = tmp_path / "mine.safetensors", generator("oasis", 16)
    layout = SemanticLayout(num_classes=16)
    save_network(file, network.state_dict(), description(network, layout, "scenes", "a test"))
    benchmark = benchmark_in()
    hashes = set()
    for noise_per in get_args(NoisePer):
        rows = benchmark.rows(Request(checkpoints={"mine": file}, noise_per=noise_per))
        hashes.add(benchmark.job_sha256(rows[-1]))
        assert rows[-1].identity.get("noise_per", "image") == noise_per
    assert len(hashes) == 3


def translator(name: str, scenes: Dataset, **settings: Any) -> nn.Module:
    """A generator that reads label maps as pictures, as one trained on the dataset would be."""
    palette = written_palette(scenes.label_space.palette, 16, unlabelled_first=False)
    return build_generator(name, 16, SIZE, width=1 / 16, seed=3, palette=palette, **settings)


@pytest.mark.parametrize(
    ("name", "settings"), [("pix2pix", {}), ("pix2pix", {"norm": "instance"}), ("cyclegan", {})]
)
def test_released_files_that_read_pictures_get_the_colours_of_the_dataset(
    tmp_path: Path, scenes: Dataset, name: str, settings: dict[str, Any]
) -> None:
    """The old files: instance norms with statistics, which are dropped, batch norms without
    counters."""
    network = translator(name, scenes, **settings)
    counters = [entry for entry in to_published(network) if entry.endswith("num_batches_tracked")]
    old: dict[str, Any] = dict.fromkeys(counters)
    for ours, theirs in network.published.names(network.config).items():
        if isinstance(network.get_submodule(ours), nn.InstanceNorm2d):
            old |= {f"{theirs}.running_{leaf}": torch.ones(8) for leaf in ("mean", "var")}
            old[f"{theirs}.num_batches_tracked"] = torch.tensor(1)
    assert len(old) > 8
    file = released(tmp_path / "latest_net_G.pth", network, **old)
    opened = open_generator(file, scenes)
    assert opened.config == network.config
    state = network.state_dict()
    assert all(torch.equal(t, state[key]) for key, t in opened.network.state_dict().items())
    (note,) = opened.description["notes"]
    assert f"({name}), label layout colours of scenes, since it reads pictures" in note
    source = SynthesizedByCheckpoint(
        "theirs", file, scenes, PROFILES["in-domain"], torch.device("cpu")
    )
    assert source.floats([0], [scenes[0]]).shape == (1, 3, *SIZE)
    assert any("in the colours of the dataset" in text for text in source.notes)
    with pytest.raises(UserError, match="reads label maps in the colours of a dataset"):
        open_checkpoint(file)
    with pytest.raises(UserError, match=rf"the file holds a {name} generator, not spade"):
        open_generator(file, scenes, ReleasedOptions(arch="spade"))


@pytest.mark.parametrize(("name", "encoder"), [("munit", "enc_content."), ("unit", "enc.")])
def test_released_files_of_two_domains_translate_from_a_to_b(
    tmp_path: Path, scenes: Dataset, name: str, encoder: str
) -> None:
    """Old files have statistics of instance norms; the adaptive ones' dummies are in every file."""
    domains = {}
    for seed, domain in enumerate("ab"):
        domains[domain] = to_published(build_generator(name, 3, SIZE, width=1 / 16, seed=seed))
        for leaf in ("running_mean", "running_var"):
            domains[domain][f"{encoder}model.0.norm.{leaf}"] = torch.ones(4)
    file = tmp_path / "gen_01000000.pt"
    torch.save(domains, file)
    opened = open_generator(file, scenes)
    colours = written_palette(scenes.label_space.palette, 16, unlabelled_first=False)
    assert (opened.config.num_labels, opened.config.palette) == (16, colours)
    for key, tensor in to_published(opened.network).items():
        assert torch.equal(tensor, domains["a" if key.startswith(encoder) else "b"][key]), key
    read, taken = opened.description["notes"]
    assert f"({name}), label layout colours of scenes, since it reads pictures" in read
    assert taken == (
        f"Of the domains a and b in the file, {encoder[:-1]} of a and all else of b was taken."
    )
    source = SynthesizedByCheckpoint(
        "theirs", file, scenes, PROFILES["in-domain"], torch.device("cpu")
    )
    assert source.floats([0], [scenes[0]]).shape == (1, 3, *SIZE)
    assert source.provenance["style_input"] == ("random" if name == "munit" else "none")
    assert any("label maps (domain A) to photos (domain B)" in note for note in source.notes)
    with pytest.raises(UserError, match="reads label maps in the colours of a dataset"):
        open_checkpoint(file)
    del domains["b"]["dec.model.5.conv.bias"]
    torch.save(domains, file)
    with pytest.raises(UserError, match=r"1 missing: dec\.model\.5\.conv\.bias"):
        open_generator(file, scenes)


def test_discriminators_of_two_domains_open_as_that_of_photos(tmp_path: Path) -> None:
    network = ImageDiscriminator(ImageDiscriminator.Config(base_channels=2))
    other = ImageDiscriminator(ImageDiscriminator.Config(base_channels=2))
    file = tmp_path / "dis_01000000.pt"
    torch.save({"a": to_published(other), "b": to_published(network)}, file)
    opened = open_checkpoint(file)
    assert opened.layout is None
    assert opened.config == network.config
    state = network.state_dict()
    assert all(torch.equal(t, state[key]) for key, t in opened.network.state_dict().items())


def test_an_entry_that_is_no_statistic_of_a_bare_norm_is_refused(
    tmp_path: Path, scenes: Dataset
) -> None:
    network = translator("cyclegan", scenes)
    file = released(tmp_path / "G.pth", network, **{"model.2.weight": torch.ones(4)})
    with pytest.raises(UserError, match=r"model\.2\.weight|no released layout|label channels"):
        open_generator(file, scenes)
    statistic = {"model.1.running_mean": torch.ones(4)}  # of a convolution: no old file has it
    file = released(tmp_path / "other.pth", network, **statistic)
    with pytest.raises(UserError, match=r"unexpected.*model\.1\.running_mean"):
        open_generator(file, scenes)


def test_one_hot_files_of_pix2pix_need_no_colours(tmp_path: Path, scenes: Dataset) -> None:
    network = build_generator("pix2pix", 16, SIZE, width=1 / 16, seed=3)
    file = released(tmp_path / "G.pth", network)
    opened = open_generator(file, scenes, ReleasedOptions(label_layout="16"))
    assert opened.config == network.config
    assert (opened.config.palette, opened.config.in_channels) == ("", 16)


def test_the_test_mode_of_pix2pix_is_told_counted_and_refused_elsewhere(
    tmp_path: Path, scenes: Dataset
) -> None:
    cpu, options = torch.device("cpu"), ReleasedOptions(label_layout="16")
    file = released(tmp_path / "G.pth", build_generator("pix2pix", 16, SIZE, width=1 / 16, seed=3))

    def source(test_mode: Any) -> SynthesizedByCheckpoint:
        return SynthesizedByCheckpoint(
            "mine", file, scenes, PROFILES["in-domain"], cpu, released=options,
            test_mode=test_mode,
        )  # fmt: skip

    made = {mode: source(mode) for mode in (None, "train", "eval")}
    images = {mode: item.floats([0], [scenes[0]]) for mode, item in made.items()}
    assert torch.equal(images[None], images["train"])
    assert not torch.equal(images[None], images["eval"])
    for mode, text, style in (
        (None, "test mode: train, dropout on", "random"), ("eval", "test mode: eval", "none"),
    ):  # fmt: skip
        assert any(text in note for note in made[mode].notes)
        assert made[mode].provenance["style_input"] == style
        assert any("dropout drawn for each image" in note for note in made[mode].notes) is (
            mode is None
        )
    assert made[None].identity != made["eval"].identity
    other = released(tmp_path / "spade.pth", generator("spade", edges=True))
    with pytest.raises(UserError, match=r"--test-mode eval: .* is no pix2pix"):
        SynthesizedByCheckpoint(
            "mine", other, scenes, PROFILES["in-domain"], cpu, released=TOLD, test_mode="eval"
        )
