# SPDX-License-Identifier: Apache-2.0
"""Every in-domain network keeps the promises by which it scores: one shape, features on the way."""

import dataclasses
from pathlib import Path

import pytest
import torch
from few_scenes import few_scenes

from spade_eval.models.checkpoints.files import load_weights
from spade_eval.scoring.in_domain import (
    ARCHITECTURES,
    SegmenterConfig,
    load_in_domain,
    real_scores,
    shipped,
    train_segmenter,
)
from spade_eval.segmenters.in_domain import (
    InDomainConfig,
    InDomainFeatures,
    InDomainNetwork,
    logits_and_features,
)

SCENES = few_scenes(40)


@pytest.fixture(params=sorted(ARCHITECTURES))
def network(request: pytest.FixtureRequest) -> InDomainNetwork:
    torch.manual_seed(0)
    kind = ARCHITECTURES[request.param].network
    return kind(InDomainConfig(num_classes=5, base_channels=8, short_side=32)).eval()


@pytest.mark.parametrize("size", [(32, 32), (20, 36), (64, 48)])
def test_logits_are_at_the_size_of_the_images(
    network: InDomainNetwork, size: tuple[int, int]
) -> None:
    images = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        logits, features = logits_and_features(network, images)
        assert logits.shape == (2, 5, *size)
        assert features.shape == (2, network.feature_dim)
        assert torch.equal(logits, network(images))
        assert torch.equal(features, InDomainFeatures(network)(images))


def test_networks_have_titles_and_seeds_of_their_own() -> None:
    titles = {item.network.title for item in ARCHITECTURES.values()}
    seeds = {item.seed for item in ARCHITECTURES.values()}
    assert len(titles) == len(seeds) == len(ARCHITECTURES) >= 3


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_training_makes_a_file_that_opens_as_the_same_network(name: str, tmp_path: Path) -> None:
    train = SCENES("train", (16, 16), length=4)
    config = SegmenterConfig(
        dataset="scenes", dataset_sha256="0" * 64, sizes=((16, 16),), steps=1, batch_size=2,
        base_channels=8, seed=ARCHITECTURES[name].seed, architecture=name,
    )  # fmt: skip
    path = train_segmenter(config, [train], tmp_path, torch.device("cpu"))
    network = load_in_domain(path, train)
    assert type(network) is ARCHITECTURES[name].network
    stored = {tensor.dtype for tensor in load_weights(path).values() if tensor.is_floating_point()}
    assert stored == {ARCHITECTURES[name].stored_as}
    assert all(weight.dtype == torch.float32 for weight in network.parameters())


def test_the_first_network_keeps_the_names_of_its_files() -> None:
    config = SegmenterConfig(
        dataset="scenes", dataset_sha256="0" * 64, sizes=((16, 16),), steps=1, batch_size=2
    )
    # As files of before there were others are called.
    assert config.sha256[:12] == "ae0a43d68d3b"
    assert dataclasses.replace(config, architecture="in-domain-dilated").sha256 != config.sha256


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_what_ships_recognises_real_scenes(name: str) -> None:
    val = SCENES("val", (64, 64), length=20)
    path = shipped(val, name)
    assert path is not None
    assert name == "in-domain" or path.stat().st_size < 300_000
    assert real_scores(path, val, torch.device("cpu"))["acc_valid"] > 0.85
