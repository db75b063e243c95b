# SPDX-License-Identifier: Apache-2.0
"""CRN's released files, sizes and images; its numbers are compared in tests/reference."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from spade_eval.models.checkpoints.recognition import load_released, recognised
from spade_eval.models.generators import crn
from spade_eval.models.generators.crn import CRNGenerator, published_widths
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.semantics import SemanticMap

KEYS = Path(__file__).parents[2] / "reference" / "data" / "keys_crn"


@pytest.mark.parametrize("name", ["cityscapes_256p", "cityscapes_512p", "cityscapes_1024p"])
def test_variables_lie_where_the_released_file_has_them(name: str) -> None:
    known = json.loads((KEYS / f"crn_{name}.json").read_text())
    placed = crn.variables(crn._RELEASES[known["data_file_bytes"]])
    assert {variable: list(shape) for variable, (shape, _) in placed.items()} == known["keys"]
    assert {variable: offset for variable, (_, offset) in placed.items()} == known["offset"]


def test_cityscapes_and_gta_have_one_form() -> None:
    city, gta = (
        json.loads((KEYS / f"crn_{name}_256p.json").read_text()) for name in ("cityscapes", "gta")
    )
    assert (city["keys"], city["offset"]) == (gta["keys"], gta["offset"])


def test_the_released_size_has_the_released_number_of_parameters() -> None:
    known = json.loads((KEYS / "crn_cityscapes_256p.json").read_text())
    with torch.device("meta"):
        network = CRNGenerator(CRNGenerator.Config(num_labels=20))
    assert sum(parameter.numel() for parameter in network.parameters()) == known["parameters"]


@pytest.fixture
def data_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file as TensorFlow writes it, of a network that is two modules high and narrow."""
    monkeypatch.setattr(crn, "published_widths", lambda height: (3, 2))
    release = crn._Release(8, 2, ("g_8",))
    placed = crn.variables(release)
    numbers = [np.full(crn._OPTIMIZER_BYTES // 4, 7, "<f4")]
    for number, (name, (shape, _)) in enumerate(placed.items()):
        own = np.arange(np.prod(shape), dtype="<f4") + 1000 * number
        numbers += [own, *[np.full_like(own, -1)] * (2 if name.startswith("g_8") else 0)]
    path = tmp_path / "model.ckpt.data-00000-of-00001"
    np.concatenate(numbers).tofile(path)
    monkeypatch.setattr(crn, "_RELEASES", {path.stat().st_size: release})
    return path


def test_a_released_file_is_recognised_by_name_and_size_and_read(data_file: Path) -> None:
    tensors = load_released(data_file)
    network, config = recognised(tensors)
    assert network is CRNGenerator
    assert (config.num_labels, config.num_images, config.widths) == (20, 2, (3, 2))
    assert config.image_size == (8, 16)
    # The fifth variable by name; TensorFlow's last dimension is PyTorch's first.
    names = list(crn.variables(crn._Release(8, 2, ("g_8",))))
    name = "g_4_conv1/weights"
    first = 1000 * names.index(name)
    weight = tensors["g_4_conv1.weight"]
    assert weight.shape == (3, 20, 3, 3)
    assert weight[1, 2, 0, 1] == first + np.ravel_multi_index((0, 1, 2, 1), (3, 3, 20, 3))
    assert all((tensor >= 0).all() for tensor in tensors.values()), "optimizer slots are left out"
    assert tensors["g_8_conv100.bias"].shape == (6,)


def test_another_size_is_no_released_file(data_file: Path) -> None:
    with data_file.open("ab") as file:
        file.write(b"\0" * 4)
    assert not crn.is_released_file(data_file)
    with pytest.raises(ValueError, match=r"model\.ckpt"):
        load_released(data_file)


@pytest.mark.parametrize("height", [48, 4, 2048])
def test_heights_are_powers_of_two(height: int) -> None:
    with pytest.raises(ValueError, match=f"height {height}, expected one of 8, 16"):
        published_widths(height)


def test_images_are_read_colour_by_colour_and_the_first_is_shown() -> None:
    network = CRNGenerator(CRNGenerator.Config(num_labels=3, image_size=(8, 8), widths=(4, 4)))
    with torch.no_grad():
        network.to_rgb.weight.zero_()
        network.to_rgb.bias.copy_(torch.arange(27) / 100)
    semantics = SemanticMap(torch.zeros(2, 8, 8, dtype=torch.long), SemanticLayout(num_classes=3))
    images = network.collection(semantics)
    assert images.shape == (2, 9, 3, 8, 8)
    torch.testing.assert_close(images[0, 4, :, 0, 0], torch.tensor([0.04, 0.13, 0.22]))
    assert torch.equal(network(semantics), images[:, 0])
    with torch.no_grad():
        network.to_rgb.bias.fill_(3)
    assert network(semantics).max() == 1, "saved images are clipped"


def test_coarse_label_maps_are_averages() -> None:
    """One label in one corner is a quarter of that label one level below."""
    network = CRNGenerator(CRNGenerator.Config(num_labels=2, image_size=(8, 8), widths=(4, 4)))
    labels = torch.zeros(1, 8, 8, dtype=torch.long)
    labels[0, 0, 0] = 1
    seen = []
    network.steps[0].register_forward_pre_hook(lambda step, inputs: seen.append(inputs[0]))
    network.collection(SemanticMap(labels, SemanticLayout(num_classes=2)))
    assert seen[0].shape == (1, 2, 4, 4)
    assert seen[0][0, :, 0, 0].tolist() == [0.75, 0.25]
