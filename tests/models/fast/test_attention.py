# SPDX-License-Identifier: Apache-2.0
"""Attention's fast form against the equation, with its gradients."""

import copy

import pytest
import torch
from torch import Tensor

from spade_eval.models.fast.accelerate import accelerate
from spade_eval.models.fast.attention import FastAttention
from spade_eval.models.layers.diffusion import Attention


def twins(channels: int, head_channels: int) -> tuple[Attention, Attention]:
    random = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        plain = Attention(channels, head_channels).double()
    with torch.no_grad():
        for weight in plain.parameters():
            weight.normal_(std=channels**-0.5, generator=random)
    fast = accelerate(copy.deepcopy(plain))
    assert type(fast) is FastAttention
    return plain, fast


def results(layer: Attention, x: Tensor) -> list[Tensor]:
    x = x.clone().requires_grad_()
    y = layer(x)
    gradients = torch.autograd.grad(y.square().sum(), [x, *layer.parameters()])
    return [y, *gradients]


@pytest.mark.parametrize(("channels", "head_channels"), [(64, 32), (24, 24), (24, 4)])
@pytest.mark.parametrize("size", [(8, 8), (5, 12)])
def test_values_and_gradients_are_those_of_the_equation(
    channels: int, head_channels: int, size: tuple[int, int]
) -> None:
    random = torch.Generator().manual_seed(1)
    x = torch.randn(2, channels, *size, generator=random, dtype=torch.float64)
    plain, fast = twins(channels, head_channels)
    for expected, found in zip(results(plain, x), results(fast, x), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_no_matrix_of_all_pairs_is_made() -> None:
    """On the CPU the kernel that holds all weights at once would be taken for other strides."""
    _, fast = twins(16, 8)
    x = torch.randn(1, 16, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    with torch.profiler.profile() as profile:
        fast(x)
    called = {event.key for event in profile.key_averages()}
    assert any("flash_attention" in name for name in called), sorted(called)
    assert "aten::_softmax" not in called
