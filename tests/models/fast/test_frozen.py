# SPDX-License-Identifier: Apache-2.0
"""Folded networks compute what the plain ones do."""

import copy

import torch
from torch import Tensor, nn

from spade_eval.models.fast.frozen import folded
from spade_eval.models.losses.efficientnet_lite0 import EfficientNetLite0
from spade_eval.models.losses.perceptual import EnlargedLite0, PerceptualLoss


def lite0(kind: type[EfficientNetLite0] = EfficientNetLite0) -> EfficientNetLite0:
    """A network whose norms do something: the first weights leave everything as it is."""
    random = torch.Generator().manual_seed(0)
    network = kind().double()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):  # of the size that keeps variances
            module.weight.data.normal_(0, module.weight[0].numel() ** -0.5, generator=random)
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.running_var):
                tensor.data.uniform_(0.5, 2, generator=random)
            for tensor in (module.bias, module.running_mean):
                assert tensor is not None
                tensor.data.uniform_(-1, 1, generator=random)
    return network


def images(seed: int) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.rand(2, 3, 36, 44, generator=random, dtype=torch.float64) * 2 - 1


def test_all_norms_are_gone_and_the_features_stay() -> None:
    plain = lite0()
    fast = folded(copy.deepcopy(plain))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fast.modules())
    assert not any(parameter.requires_grad for parameter in fast.parameters())
    # Float64: what is left is the rounding of fifty layers.
    torch.testing.assert_close(fast(images(0)), plain(images(0)), rtol=1e-11, atol=1e-12)


def test_the_loss_and_its_gradient_stay() -> None:
    network, found = lite0(EnlargedLite0), []
    for form in (network, folded(copy.deepcopy(network))):
        loss = PerceptualLoss(form, (1.0, 2.0, 3.0, 4.0, 5.0))
        fake = images(1).requires_grad_()
        value = loss(fake, images(2))
        (gradient,) = torch.autograd.grad(value, fake)
        found.append((value.detach(), gradient))
    for plain, fast in zip(*found, strict=True):
        assert plain.abs().sum() > 0
        # The loss takes its means in float32: some of its roundings of 6e-8.
        torch.testing.assert_close(fast, plain, rtol=1e-6, atol=1e-12)
