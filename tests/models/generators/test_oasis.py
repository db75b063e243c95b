# SPDX-License-Identifier: Apache-2.0
"""OASIS's generator: forms of noise, counts, released files; its numbers are in tests/reference."""

from typing import Any

import pytest
import torch
from torch import Tensor

from spade_eval.models.checkpoints.published import load_published_generator, to_published
from spade_eval.models.generators.oasis import OASISGenerator
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.systems.presets import count_parameters

LAYOUT = SemanticLayout(num_classes=4)
TINY: dict[str, Any] = {"base_channels": 1, "hidden_channels": 2}


def network(**changes: Any) -> OASISGenerator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = OASISGenerator.Config(**{"num_labels": 4, **TINY, **changes})
        return OASISGenerator(config).eval()


def semantics(batch_size: int = 2) -> SemanticMap:
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 4, (batch_size, 32, 64), generator=random)
    return SemanticMap(labels, LAYOUT)


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("model", "num_labels", "parameters"),
    [
        ("oasis", 151, 74_314_691),
        ("oasis", 183, 75_199_427),
        ("oasis", 35, 71_107_523),
        ("oasis_without_noise", 151, 72_545_219),
        ("oasis_without_noise", 183, 73_429_955),
        ("oasis_without_noise", 35, 69_338_051),
        ("oasis_with_perceptual", 151, 74_314_691),
    ],
)
def test_parameters_are_those_of_the_release(model: str, num_labels: int, parameters: int) -> None:
    assert count_parameters(model, num_labels) == parameters


def test_the_state_has_as_many_entries_as_the_release() -> None:
    with torch.device("meta"):
        assert len(OASISGenerator(OASISGenerator.Config(num_labels=151)).state_dict()) == 208


@torch.no_grad()
def test_a_vector_is_that_vector_at_every_pixel() -> None:
    generator, z = network(z_dim=3), noise(2, 3)
    expanded = z[:, :, None, None].expand(-1, -1, 32, 64)
    assert torch.equal(generator(semantics(), z), generator(semantics(), expanded))


@torch.no_grad()
def test_noise_of_one_place_changes_the_image_there_alone() -> None:
    """What a pixel sees of the map is limited, so far away nothing changes."""
    generator, z = network(z_dim=3), noise(1, 3, 32, 256)
    labels = SemanticMap(torch.zeros(1, 32, 256, dtype=torch.int64), LAYOUT)
    moved = z.clone()
    moved[:, :, :, :8] += 10.0
    changed = (generator(labels, z) - generator(labels, moved)).abs().amax(dim=(0, 1, 2)) > 0
    assert changed[:8].all()
    assert not changed[-1]


@torch.no_grad()
def test_noise_stands_in_front_of_the_labels() -> None:
    seen: list[Tensor] = []
    generator = network(z_dim=3)
    generator.stem.register_forward_pre_hook(lambda stem, inputs: seen.append(inputs[0]))
    z = noise(2, 3)
    generator(semantics(), z)
    assert torch.equal(seen[0][:, :3], z[:, :, None, None].expand(-1, -1, 1, 2))
    assert torch.equal(seen[0][:, 3:], semantics().at((1, 2)))


@pytest.mark.parametrize("shape", [None, (2, 4), (1, 3), (2, 3, 16, 64), (2, 3, 1, 1), (2,)])
def test_other_noise_is_refused(shape: tuple[int, ...] | None) -> None:
    z = None if shape is None else noise(*shape)
    with pytest.raises(ValueError, match=r"expected \(2, 3\) or \(2, 3, 32, 64\)"):
        network(z_dim=3)(semantics(), z)


def test_without_noise_a_vector_is_refused() -> None:
    with pytest.raises(ValueError, match="OASIS without 3D noise takes the semantic map alone"):
        network(z_dim=None)(semantics(), noise(2, 64))


def test_width_scales_what_is_no_noise() -> None:
    config = OASISGenerator.Config(num_labels=4).scaled(1 / 64)
    assert (config.base_channels, config.hidden_channels, config.z_dim) == (1, 16, 64)


@pytest.mark.parametrize(
    ("num_labels", "name", "unknown"),
    [
        (151, "ade20k_raw", "first"),
        (183, "coco_stuff_unknown_first", "first"),
        (35, "cityscapes_without_edges", "none"),
    ],
)
@pytest.mark.parametrize("z_dim", [64, None])
def test_released_files_tell_their_label_order_themselves(
    num_labels: int, name: str, unknown: str, z_dim: int | None
) -> None:
    tensors = to_published(network(num_labels=num_labels, z_dim=z_dim))
    assert tensors["fc.weight"].shape[1] == num_labels + (z_dim or 0)
    assert "body.2.norm_s.first_norm.running_var" in tensors
    loaded = load_published_generator(tensors, arch="oasis")
    assert (loaded.layout_name, loaded.layout.unknown) == (name, unknown)
    assert loaded.layout.num_labels == num_labels
    assert loaded.generator.config.z_dim == z_dim


def test_another_number_of_labels_is_asked_for() -> None:
    tensors = to_published(network(num_labels=20))
    with pytest.raises(ValueError, match=r"map has 84 channels, .* set the label layout"):
        load_published_generator(tensors)
    layout = SemanticLayout(num_classes=19, unknown="first")
    assert (
        load_published_generator(tensors, layout).generator.config == network(num_labels=20).config
    )
    with pytest.raises(ValueError, match="84 channels, expected 19 labels, alone or with 64"):
        load_published_generator(tensors, SemanticLayout(num_classes=19))


@pytest.mark.parametrize(
    "changes", [{"spectral": False}, {"param_free_norm": "instance"}, {"spade_kernel_size": 5}]
)
@torch.no_grad()
def test_other_options_of_the_code_come_back(changes: dict[str, Any]) -> None:
    ours = network(num_labels=35, **changes)
    again = load_published_generator(to_published(ours)).generator
    assert again.config == ours.config
    labels = SemanticMap(torch.zeros(1, 64, 64, dtype=torch.int64), SemanticLayout(num_classes=35))
    z = noise(1, 64)
    assert torch.equal(again(labels, z), ours(labels, z))


def test_a_file_with_a_tensor_too_few_or_too_many_is_refused() -> None:
    tensors = to_published(network(num_labels=35))
    with pytest.raises(ValueError, match="surprise"):
        load_published_generator({**tensors, "surprise": torch.zeros(1)})
    del tensors["body.5.conv_s.weight_orig"]
    with pytest.raises(ValueError, match=r"body\.5\.conv_s\.weight_orig"):
        load_published_generator(tensors)
