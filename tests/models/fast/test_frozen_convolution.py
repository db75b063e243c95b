# SPDX-License-Identifier: Apache-2.0
"""Convolutions with fixed weights against torch's, in every form that they take."""

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn

from spade_eval.models.fast import frozen_convolution
from spade_eval.models.fast.frozen_convolution import FrozenConv2d

# Up to 9 * 24 float32 products of order one.
ROUNDING = {"atol": 2e-5, "rtol": 0.0}


def layers(always: bool = False, **options: object) -> tuple[nn.Conv2d, FrozenConv2d]:
    torch.manual_seed(0)
    plain = nn.Conv2d(24, 20, **{"kernel_size": 3, **options}).requires_grad_(False)
    frozen = copy.deepcopy(plain)
    frozen.__class__ = FrozenConv2d
    assert isinstance(frozen, FrozenConv2d)
    frozen.always = always
    return plain, frozen


def images(*size: int) -> Tensor:
    return torch.randn(size[0], 24, *size[1:], generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("always", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {"padding": 1},
        {"padding": 4, "dilation": 4, "bias": False},
        {"padding": 1, "padding_mode": "reflect"},
        {"padding": "same"},
        {"stride": 2, "padding": 1},
        {"kernel_size": 1},
        {"kernel_size": (1, 7), "padding": (0, 3), "groups": 4},
    ],
)
@torch.no_grad()
def test_equals_the_plain_convolution(options: dict[str, object], always: bool) -> None:
    plain, frozen = layers(always, **options)
    for size in ((1, 33, 33), (2, 9, 14), (1, 5, 6), (1, 8, 8)):  # kernels for three are kept
        torch.testing.assert_close(frozen(images(*size)), plain(images(*size)), **ROUNDING)
    assert len(frozen._packed) <= frozen_convolution._MOST_SIZES


@torch.no_grad()
def test_what_was_made_of_a_weight_goes_when_the_layer_is_converted() -> None:
    for always in (False, True):
        plain, frozen = layers(always, padding=1)
        frozen(images(1, 8, 8))
        assert frozen._packed or frozen._transformed is not None
        frozen.double().weight.mul_(2)
        torch.testing.assert_close(
            frozen.float()(images(1, 8, 8)) - plain.bias[:, None, None],
            2 * (plain(images(1, 8, 8)) - plain.bias[:, None, None]),
            **ROUNDING,
        )


@torch.no_grad()
def test_copied_and_sent_to_another_process_after_it_was_used() -> None:
    for always in (False, True):
        _, frozen = layers(always, padding=1)
        expected = frozen(images(1, 8, 8))
        for other in (copy.deepcopy(frozen), pickle.loads(pickle.dumps(frozen))):
            assert torch.equal(other(images(1, 8, 8)), expected)


def test_with_a_gradient_it_is_torchs_own() -> None:
    plain, frozen = layers(True, padding=1)
    found = []
    for layer in (plain, frozen):
        x = images(1, 8, 8).requires_grad_()
        y = layer(x)
        (gradient,) = torch.autograd.grad(y.square().sum(), x)
        found.append((y.detach(), gradient))
    assert all(map(torch.equal, *found))
    assert not frozen._packed


@torch.no_grad()
def test_without_onednn_it_is_torchs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen_convolution, "HAS_ONEDNN", False)
    plain, frozen = layers(kernel_size=1)
    assert torch.equal(frozen(images(1, 8, 8)), plain(images(1, 8, 8)))
