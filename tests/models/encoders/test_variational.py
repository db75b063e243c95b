# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from spade_eval.models.encoders import ImageEncoder, reparametrise
from spade_eval.models.initialisation import build


@pytest.mark.parametrize(("input_size", "layers"), [(256, 6), (64, 4), (8, 1)])
def test_depth_follows_the_input_size(input_size: int, layers: int) -> None:
    config = ImageEncoder.Config(base_channels=4, z_dim=16, input_size=input_size)
    encoder = build(ImageEncoder, config, "as_trained", seed=0)
    assert len(encoder.layers) == layers
    image = torch.rand(2, 3, 48, 80, generator=torch.Generator().manual_seed(0)) * 2 - 1
    mu, logvar = encoder(image)
    assert mu.shape == logvar.shape == (2, 16)
    (mu.square().sum() + logvar.square().sum()).backward()
    assert all(p.grad is not None and p.grad.any() for p in encoder.parameters())


def test_odd_input_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="power of two"):
        ImageEncoder(ImageEncoder.Config(input_size=100))


def test_reparametrisation() -> None:
    mu, logvar = torch.tensor([[1.0]]), torch.tensor([[4.0]]).log()
    assert reparametrise(mu, logvar, torch.tensor([[0.5]])).item() == pytest.approx(2.0)
