# SPDX-License-Identifier: Apache-2.0
"""The feature network of FID against features of the original code, with filled weights."""

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from spade_eval.errors import UserError
from spade_eval.metrics.fid_profiles import FID_PROFILES
from spade_eval.metrics.inception import InceptionFeatures
from spade_eval.metrics.inception_network import InceptionGraph, inception_v3

# Largest difference over the standard deviation; float32 against float64 is at 4e-6 there.
TOLERANCE = 1e-4


def generator_of(text: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(zlib.crc32(text.encode())))


def fill(name: str, shape: list[int], gain: float) -> Tensor:
    """The weight fill of the parity data: a rule of name and shape alone, all in float32."""
    draws = generator_of(name).standard_normal(shape).astype(np.float32)
    kind = name.rsplit(".", 1)[-1]
    if kind == "num_batches_tracked":
        return torch.tensor(0)
    if len(shape) >= 2:
        filled = draws * np.float32(gain / np.sqrt(np.prod(shape[1:])))
    elif kind == "running_var":
        filled = np.float32(0.5) * np.abs(draws) + np.float32(0.5)
    else:
        filled = np.float32(kind == "weight") + np.float32(0.1) * draws
    return torch.from_numpy(filled)


@pytest.fixture(scope="module")
def random_weights() -> dict[str, Tensor]:
    """Weights of the network alone: no classifier, no counters."""
    return {
        name: fill(name, list(tensor.shape), 1.3)
        for name, tensor in inception_v3().state_dict().items()
        if not name.endswith("num_batches_tracked")
    }


@pytest.fixture(scope="module")
def network(random_weights: dict[str, Tensor]) -> InceptionFeatures:
    return InceptionFeatures(random_weights)


@pytest.mark.slow
def test_equals_the_original_features(
    parity_case: Callable[[str], dict[str, Any]], parity_file: Callable[[str], Path]
) -> None:
    case = parity_case("segmenter_inception")
    meta = json.loads(case["meta"].item())
    keys = json.loads(parity_file("keys/segmenter_inception_fid.json").read_text())["keys"]
    filled = {name: fill(meta["salt"] + name, shape, meta["gain"]) for name, shape in keys.items()}
    features = InceptionFeatures(filled)
    for tag, size in zip(meta["tags"], (75, 299), strict=True):
        images = generator_of(tag).integers(0, 256, (4, 3, size, size), np.uint8)
        with torch.no_grad():
            computed = features(torch.from_numpy(images.astype(np.float32) / 255)).numpy()
        expected = case[f"feat_{size}"]
        assert computed.dtype == np.float32
        assert computed.shape == expected.shape
        assert np.abs(computed - expected).max() / expected.std() < TOLERANCE


def eight_bit_images(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


@pytest.mark.slow
def test_features_of_an_image_are_its_own(network: InceptionFeatures) -> None:
    images = eight_bit_images(3, 3, 40, 70)
    with torch.no_grad():
        batch = network(images)
        single = torch.cat([network(image[None]) for image in images])
    # The library may choose another convolution for another batch size.
    torch.testing.assert_close(single, batch, rtol=1e-4, atol=1e-4 * batch.std().item())
    assert batch.shape == (3, 2048)


@pytest.mark.slow
def test_training_mode_changes_nothing(random_weights: dict[str, Tensor]) -> None:
    network = InceptionFeatures(random_weights)
    images = eight_bit_images(1, 3, 32, 32)
    expected = network(images)
    assert torch.equal(network.train()(images), expected)
    assert not expected.requires_grad


def test_construction_draws_no_random_numbers(random_weights: dict[str, Tensor]) -> None:
    state = torch.get_rng_state()
    network = InceptionFeatures(random_weights)
    assert torch.equal(torch.get_rng_state(), state)
    assert {tensor.device.type for tensor in network.state_dict().values()} == {"cpu"}
    stored = network.network.state_dict()
    assert all(torch.equal(stored[name], tensor) for name, tensor in random_weights.items())


@pytest.mark.parametrize("graph", get_args(InceptionGraph))
def test_the_network_is_built_without_a_download(
    monkeypatch: pytest.MonkeyPatch, graph: InceptionGraph
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a download was asked for")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setattr("torch.hub.load_state_dict_from_url", refuse)
    monkeypatch.setattr("pytorch_fid.inception.load_state_dict_from_url", refuse)
    state = inception_v3(graph).state_dict()
    assert {tensor.device.type for tensor in state.values()} == {"meta"}, "nothing is drawn either"


def test_classifier_and_counters_are_not_needed(random_weights: dict[str, Tensor]) -> None:
    extra = {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    counters = {
        name.replace("running_mean", "num_batches_tracked"): torch.tensor(0)
        for name in random_weights
        if name.endswith("running_mean")
    }
    InceptionFeatures(random_weights | extra | counters)


def test_weights_that_do_not_fit_are_listed_together(random_weights: dict[str, Tensor]) -> None:
    weights = dict(random_weights)
    del weights["Conv2d_1a_3x3.conv.weight"]
    weights["Mixed_5b.branch1x1.bn.bias"] = torch.zeros(65)
    weights["AuxLogits.fc.weight"] = torch.zeros(3)
    with pytest.raises(UserError) as error:
        InceptionFeatures(weights)
    for part in (
        "1 missing: Conv2d_1a_3x3.conv.weight",
        "1 unexpected: AuxLogits.fc.weight",
        "1 of wrong shape: Mixed_5b.branch1x1.bn.bias (65,) instead of (64,)",
    ):
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.full((1, 3, 8, 8), -1.0), r"\[-1, -1\], expected \[0, 1\]"),
        (torch.full((1, 3, 8, 8), 255.0), r"expected \[0, 1\]"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.int16), "floats"),
        (torch.full((1, 3, 8, 8), float("nan")), r"expected \[0, 1\]"),
        (torch.full((1, 3, 8, 8), 0.501), "between two levels of 8 bit"),
        (torch.zeros(3, 8, 8), r"\(N, 3, H, W\)"),
        (torch.zeros(1, 1, 8, 8), r"\(N, 3, H, W\)"),
    ],
)
def test_wrong_images(network: InceptionFeatures, images: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network(images)


def test_the_file_of_torchvision_fits_its_profile_alone(random_weights: dict[str, Tensor]) -> None:
    second_classifier = {"AuxLogits.conv0.conv.weight": torch.zeros(128, 768, 1, 1)}
    file = {**random_weights, **second_classifier, "fc.bias": torch.zeros(1000)}
    profile = FID_PROFILES["legacy-2019a"]
    InceptionFeatures(file, profile)
    with pytest.raises(UserError, match=r"1 unexpected: AuxLogits"):
        InceptionFeatures(file)
    del file["Conv2d_1a_3x3.conv.weight"]
    with pytest.raises(UserError, match=profile.weights.file_name):
        InceptionFeatures(file, profile)


@pytest.mark.slow
def test_the_two_graphs_differ_in_features(random_weights: dict[str, Tensor]) -> None:
    images = eight_bit_images(1, 3, 64, 64)
    ours = InceptionFeatures(random_weights)(images)
    theirs = InceptionFeatures(random_weights, FID_PROFILES["legacy-2019a"])(images)
    assert (ours - theirs).abs().max() > 0.1 * ours.std()
