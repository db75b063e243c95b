# SPDX-License-Identifier: Apache-2.0
"""Released files: detection, strict loading and the way back, on narrow stand-ins."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from spade_eval.models.checkpoints.published import (
    from_published,
    load_published,
    load_published_generator,
    load_published_network,
    to_published,
)
from spade_eval.models.discriminators import MultiscaleDiscriminator
from spade_eval.models.encoders import ImageEncoder, InstanceFeatureEncoder
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.systems.presets import build_generator

MakeSemantics = Callable[..., SemanticMap]
LAYOUT = SemanticLayout(num_classes=5, unknown="last", edges=True)

CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("spade", {}, {"upsampling": "normal"}),
    ("spade", {"upsampling": "most"}, {}),
    ("spade", {"spectral": False, "spade_kernel_size": 5}, {"upsampling": "normal"}),
    ("spade_instance", {"upsampling": "more"}, {"upsampling": "more"}),
    ("spade_vae", {"image_size": (128, 128)}, {"image_size": (128, 128)}),
    ("spade_vae", {"upsampling": "more", "image_size": (128, 128)}, {"image_size": (128, 128)}),
    ("clade", {"edges": True, "upsampling": "more"}, {"upsampling": "more"}),
    ("clade", {"param_free_norm": "instance"}, {"upsampling": "normal"}),
    ("clade", {"edges": True, "z_dim": 8, "image_size": (64, 64)}, {"image_size": (64, 64)}),
    ("clade_icpe", {"edges": True}, {"upsampling": "normal"}),
    ("sean", {"class_means": False}, {"upsampling": "normal"}),
    ("sean", {"class_means": False, "upsampling": "more"}, {"upsampling": "more"}),
    ("sdm", {}, {}),
    ("sdm", {"multipliers": (1, 3), "num_blocks": 1, "attention_at": (2,)}, {}),
    ("sdm", {"multipliers": (2,), "num_blocks": 3, "attention_at": ()}, {}),
    ("pix2pixhd", {"num_blocks": 3, "num_downsamplings": 3}, {}),
    ("pix2pixhd", {"num_blocks": 3, "num_downsamplings": 2}, {}),
    ("pix2pix", {}, {}),
    ("pix2pix", {"num_downsamplings": 5, "norm": "instance"}, {}),
    ("cyclegan", {}, {}),
    ("cyclegan", {"num_blocks": 6}, {}),
    ("pix2pixhd", {"num_features": 3}, {"num_features": 3}),
    ("pix2pixhdpp", {"num_blocks": 2}, {}),
    ("pix2pixhdpp_without_syncbn", {}, {}),
    ("pix2pixhd_local", {"num_enhancers": 2, "num_local_blocks": 2}, {}),
]


@pytest.mark.parametrize(("name", "overrides", "told"), CASES)
def test_files_give_the_network_back(
    name: str, overrides: dict[str, Any], told: dict[str, Any]
) -> None:
    overrides = dict(overrides)
    size = overrides.pop("image_size", (256, 256))
    ours = build_generator(name, LAYOUT.num_labels, size, width=1 / 32, seed=1, **overrides)
    file = to_published(ours)
    loaded = load_published_generator(file, LAYOUT, **told)
    assert not loaded.generator.training
    assert loaded.generator.config == ours.config
    state = loaded.generator.state_dict()
    for key, tensor in ours.state_dict().items():
        assert torch.equal(tensor, state[key])
    back = from_published(loaded.generator, to_published(loaded.generator))
    assert list(back) == list(state)


@pytest.mark.parametrize(
    ("num_labels", "edges", "layout", "upsampling"),
    [
        (151, False, "ade20k_raw", "normal"),
        (184, True, "coco_stuff", "normal"),
        (36, True, "cityscapes", "more"),
    ],
)
def test_the_label_order_of_clade_is_known(
    num_labels: int, edges: bool, layout: str, upsampling: str
) -> None:
    """SPADE's ADE20K files leave two orders open; CLADE's all hold "other" first."""
    ours = build_generator(
        "clade_icpe", num_labels, width=1 / 64, edges=edges, upsampling=upsampling
    )
    loaded = load_published_generator(to_published(ours))
    assert (loaded.arch, loaded.layout_name) == ("clade", layout)
    assert loaded.generator.config == ours.config
    assert loaded.layout.edges == edges
    with pytest.raises(ValueError, match="holds a clade generator, not spade"):
        load_published_generator(to_published(ours), arch="spade")


def test_the_released_file_of_sean_leaves_nothing_open() -> None:
    """CelebAMask-HQ: 19 classes from the background on, none unlabelled, five upsamplings."""
    ours = build_generator("sean", 19, width=1 / 64, class_means=False)
    file = to_published(ours)
    assert "Zencoder.model.14.weight" in file
    assert {"up_3.ace_1.blending_beta", "head_0.ace_0.fc_mu18.bias"} <= set(file)
    loaded = load_published_generator(file)
    assert (loaded.arch, loaded.layout_name) == ("sean", "celebamask_hq")
    assert loaded.layout == SemanticLayout(num_classes=19)
    assert loaded.generator.config == ours.config
    file["up_4.conv_0.bias"] = torch.zeros(1)
    with pytest.raises(ValueError, match=r'upsampling is "most".*never calls it'):
        load_published_generator(file, upsampling="most")


@pytest.mark.parametrize(
    ("channels", "name"),
    [
        (151, "ade20k_shifted"),
        (183, "coco_stuff_without_edges"),
        (184, "coco_stuff"),
        (20, "celebamask_hq_with_edges"),
    ],
)
def test_the_released_files_of_sdm_leave_nothing_open(channels: int, name: str) -> None:
    """ADE20K's unlabelled pixels come last, which 151 channels of SPADE's do not say."""
    file = to_published(build_generator("sdm", channels, width=1 / 64))
    loaded = load_published_generator(file)
    assert (loaded.arch, loaded.layout_name) == ("sdm", name)
    assert (loaded.layout.unknown == "last") is (channels > 20)
    assert loaded.generator.config.sampling_steps == 1000
    assert loaded.generator.config.guidance == 1.5
    del file["middle_block.1.qkv.bias"]
    with pytest.raises(ValueError, match=r"1 missing: middle_block\.1\.qkv\.bias"):
        load_published_generator(file)


def test_sean_files_of_other_data_are_asked_for_their_labels() -> None:
    """The released code reads any folder, so their channels alone do not tell their order."""
    file = to_published(build_generator("sean", 151, width=1 / 64, class_means=False))
    with pytest.raises(ValueError, match="151 label channels, whose order its shapes cannot tell"):
        load_published_generator(file, upsampling="normal")
    loaded = load_published_generator(file, "ade20k_raw", upsampling="normal")
    assert loaded.layout_name == "ade20k_raw"


def test_means_of_classes_are_in_no_released_file() -> None:
    generator = build_generator("sean", 19, width=1 / 64)
    file = to_published(build_generator("sean", 19, width=1 / 64, class_means=False))
    with pytest.raises(ValueError, match=r"2 missing: class_means\.codes, class_means\.images"):
        load_published(generator, file)


def _spade_file() -> dict[str, Tensor]:
    return to_published(build_generator("spade", LAYOUT.num_labels, width=1 / 32))


def test_missing_counters_load(make_semantics: MakeSemantics) -> None:
    file = {
        name: tensor
        for name, tensor in _spade_file().items()
        if not name.endswith("num_batches_tracked")
    }
    loaded = load_published_generator(file, LAYOUT, upsampling="normal")
    assert loaded.layout == LAYOUT
    with torch.no_grad():
        assert loaded.generator(make_semantics(1, 32, 32)).isfinite().all()


def test_all_problems_are_reported_together() -> None:
    file = _spade_file()
    generator = build_generator("spade", LAYOUT.num_labels, width=1 / 32)
    del file["up_0.conv_s.weight_u"]
    file["surprise.weight"] = torch.zeros(1)
    file["conv_img.bias"] = torch.zeros(4)
    with pytest.raises(ValueError, match="does not fit") as error:
        load_published(generator, file)
    message = str(error.value)
    assert "1 missing: up_0.conv_s.weight_u" in message
    assert "1 unexpected: surprise.weight" in message
    assert "1 of wrong shape: conv_img.bias (4,) instead of (3,)" in message


def test_statistics_of_bare_instance_norms_are_dropped() -> None:
    ours = build_generator("pix2pixhd", 36, width=1 / 32)
    file = to_published(ours) | {"model.2.running_mean": torch.zeros(2)}
    assert load_published_generator(file).layout_name == "cityscapes"


def test_what_shapes_cannot_tell_is_asked_for() -> None:
    ade = to_published(build_generator("spade", 151, width=1 / 32))
    with pytest.raises(ValueError, match="ade20k_raw or ade20k_shifted"):
        load_published_generator(ade)
    assert load_published_generator(ade, "ade20k_raw").layout.unknown == "first"
    with pytest.raises(ValueError, match="has 184 channels, the network 151"):
        load_published_generator(ade, "coco_stuff")
    with pytest.raises(ValueError, match="no label layout is called"):
        load_published_generator(ade, "ade")
    with pytest.raises(ValueError, match="set upsampling"):
        load_published_generator(_spade_file(), LAYOUT)
    with pytest.raises(ValueError, match="set the label layout"):
        load_published_generator(_spade_file(), upsampling="normal")
    latent = to_published(build_generator("spade_vae", 151, (64, 128), width=1 / 32))
    with pytest.raises(ValueError, match="set image_size"):
        load_published_generator(latent, "ade20k_raw")


def test_cityscapes_files_have_six_upsamplings() -> None:
    file = to_published(build_generator("spade", 36, width=1 / 32, upsampling="more"))
    assert load_published_generator(file).generator.config.upsampling == "more"


@pytest.mark.parametrize("norm", ["spectralinstance", "spectralsyncbatch", "instance", "syncbatch"])
def test_discriminators_come_back(norm: str) -> None:
    config = MultiscaleDiscriminator.Config(
        num_labels=7, base_channels=4, num_layers=5, num_scales=3, norm=norm
    )
    ours = MultiscaleDiscriminator(config)
    loaded = load_published_network(to_published(ours))
    assert loaded.config == config
    for key, tensor in ours.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[key])


def test_encoders_come_back() -> None:
    for network in (
        ImageEncoder(ImageEncoder.Config(base_channels=4, z_dim=8, input_size=64)),
        InstanceFeatureEncoder(InstanceFeatureEncoder.Config(base_channels=4, num_features=5)),
    ):
        assert load_published_network(to_published(network)).config == network.config


def test_another_architecture_is_refused() -> None:
    with pytest.raises(ValueError, match="holds a spade generator, not pix2pixhd"):
        load_published_generator(_spade_file(), LAYOUT, arch="pix2pixhd", upsampling="normal")


def test_other_files_are_refused() -> None:
    with pytest.raises(
        ValueError, match="no released network's; known are those of SPADEGenerator"
    ):
        load_published_generator({"weight": torch.zeros(1)})
    with pytest.raises(ValueError, match="not a plain state dict: epoch"):
        load_published_generator({"epoch": 3, "weight": torch.zeros(1)})
    with pytest.raises(ValueError, match="has no published layout"):
        to_published(torch.nn.Conv2d(1, 1, 1))
