# SPDX-License-Identifier: Apache-2.0
"""The domain-invariant loss: what its network sees, what it forgets, and whose weights it takes."""

import pytest
import torch
from torch import Tensor

from spade_eval.models.losses.domain_invariant import DomainInvariantLoss, centred
from spade_eval.models.losses.vgg19 import CONV5_1, vgg16_trunk, vgg19_trunk


@pytest.fixture(scope="module")
def loss() -> DomainInvariantLoss:
    """With weights that keep the size of activations."""
    random = torch.Generator().manual_seed(0)
    weights = {}
    for name, tensor in vgg16_trunk().state_dict().items():
        fan = tensor[0].numel() if tensor.ndim > 1 else 1e4
        weights[f"features.{name}"] = torch.randn(tensor.shape, generator=random) * (2 / fan) ** 0.5
    return DomainInvariantLoss({**weights, "classifier.0.bias": torch.zeros(1)})


def images(seed: int) -> Tensor:
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_it_reads_blue_green_red_from_0_to_255_less_the_mean() -> None:
    red = torch.tensor([1.0, -1.0, 0.0]).view(1, 3, 1, 1)
    blue_green_red = centred(red).flatten().tolist()
    assert blue_green_red == pytest.approx([127.5 - 103.939, -116.779, 255 - 123.68], abs=1e-4)


def test_thirteen_convolutions_up_to_relu5_3(loss: DomainInvariantLoss) -> None:
    convolutions = [layer for layer in loss.network.features if isinstance(layer, torch.nn.Conv2d)]
    assert len(convolutions) == 13
    assert loss.network.taps == {29}
    assert len(loss.network.features) == 30
    (activation,) = loss.network.activations(images(0))
    assert activation.shape == (2, 512, 2, 2)
    assert (activation >= 0).all()


def test_means_and_deviations_of_features_are_forgotten(loss: DomainInvariantLoss) -> None:
    (activation,) = loss.network.activations(centred(images(0)))
    normalised = loss._features(images(0))
    torch.testing.assert_close(normalised.mean(dim=(2, 3)), torch.zeros(2, 512), atol=1e-5, rtol=0)
    varied = activation.var(dim=(2, 3), correction=0) > 1e-2
    assert varied.any()
    spread = normalised.var(dim=(2, 3), correction=0)[varied]
    torch.testing.assert_close(spread, torch.ones_like(spread), atol=2e-3, rtol=0)


def test_gradients_flow_to_the_translation_alone(loss: DomainInvariantLoss) -> None:
    made, source = images(0).requires_grad_(), images(1).requires_grad_()
    loss(made, source).backward()
    assert made.grad is not None
    assert made.grad.any()
    assert source.grad is None
    assert not any(weight.requires_grad for weight in loss.parameters())
    assert loss(source, source).item() == 0
    assert not loss.train().training


def test_weights_of_another_network_are_refused() -> None:
    weights = {f"features.{k}": v for k, v in vgg19_trunk(CONV5_1).state_dict().items()}
    with pytest.raises(ValueError, match="these are not VGG-16 weights"):
        DomainInvariantLoss(weights)
