# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from spade_eval.models.encoders import InstanceFeatureEncoder
from spade_eval.models.encoders.instance_features import instance_mean


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
