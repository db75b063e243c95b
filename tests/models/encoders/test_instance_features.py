# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from spade_eval.models.encoders import InstanceFeatureEncoder
from spade_eval.models.encoders.instance_features import (
    cluster_features,
    instance_mean,
    instance_samples,
    k_means,
    sample_features,
)


def _random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_instance_mean_by_brute_force() -> None:
    features = torch.randn(2, 3, 6, 5, generator=_random())
    ids = torch.randint(0, 4, (2, 6, 5), generator=_random(1)) * 1000
    pooled = instance_mean(features, ids)
    for n in range(2):
        for i in ids[n].unique():
            mask = ids[n] == i
            expected = features[n][:, mask].mean(1, keepdim=True).expand(-1, int(mask.sum()))
            torch.testing.assert_close(pooled[n][:, mask], expected)


def test_every_parameter_has_a_gradient() -> None:
    config = InstanceFeatureEncoder.Config(base_channels=4, num_downsamplings=2)
    encoder = InstanceFeatureEncoder(config)
    image = torch.randn(1, 3, 32, 32, generator=_random())
    ids = torch.randint(0, 3, (1, 32, 32), generator=_random(1))
    encoder(image, ids).square().sum().backward()
    assert all(p.grad is not None for p in encoder.parameters())
    with pytest.raises(ValueError, match="multiples of 4"):
        encoder(image[..., :30], ids[..., :30])


def test_samples_take_the_middle_pixel_and_the_area() -> None:
    features = torch.arange(16.0).view(1, 4, 4)
    ids = torch.full((4, 4), 26001)
    ids[0] = 7  # class 7, and a car (class 26)
    samples = instance_samples(features, ids)
    assert samples[7].tolist() == [[2.0, 8.0]]  # third of four pixels; a quarter times 32
    assert samples[26].tolist() == [[10.0, 24.0]]


def test_k_means_finds_separate_groups() -> None:
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    noise = 0.01 * torch.randn(30, 2, generator=_random())
    points = centres.repeat(10, 1) + noise
    # Lloyd's algorithm may stop in a local optimum; some start finds the groups.
    errors = [
        torch.cdist(centres, k_means(points, 3, _random(seed))).amin(dim=1).max()
        for seed in range(5)
    ]
    assert min(errors) < 0.1


def test_clustering_leaves_small_instances_out_and_sampling_uses_the_class() -> None:
    large, small = torch.tensor([[0.5, 4.0], [0.5, 2.0]]), torch.tensor([[0.9, 0.1]])
    centres = cluster_features([{26: large, 7: small}, {26: large}], _random())
    assert set(centres) == {26}
    ids = torch.tensor([[[26001, 26002], [7, 7]]])
    features = sample_features(centres, ids, 1, _random())
    assert features.tolist() == [[[[0.5, 0.5], [0.0, 0.0]]]]
