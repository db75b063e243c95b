# SPDX-License-Identifier: Apache-2.0
"""Convolutions that oneDNN computes where torch would take something slower."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from spade_eval.models.fast.onednn import HAS_ONEDNN, DirectConv2d, product


def _passed(layer: nn.Conv2d, x: Tensor) -> list[Tensor]:
    made = layer(x)
    return [made, *torch.autograd.grad(made.square().sum(), [x, *layer.parameters()])]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("groups", [1, 2])
def test_a_single_tap_is_the_same_with_any_dilation(stride: int, padding: int, groups: int) -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(6, 4, 1, stride, padding, groups=groups)
    fast = copy.deepcopy(plain)
    fast.__class__ = DirectConv2d
    x = torch.randn(2, 6, 7, 9, requires_grad=True)
    for found, expected in zip(_passed(fast, x), _passed(plain, x), strict=True):
        # Sums of a few products of order one, in another order.
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_no_batch_and_no_number_of_threads_takes_the_slow_product() -> None:
    layer = DirectConv2d(8, 8, 1)
    x = torch.randn(2, 8, 32, 32, requires_grad=True)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            _passed(layer, x)
    finally:
        torch.set_num_threads(threads)
    called = {event.key for event in profiled.key_averages()}
    assert "aten::convolution_backward" in called
    assert not any("slow_conv2d" in name for name in called)


@pytest.mark.parametrize("layout", ["whole", "transposed", "part"])
def test_products_of_views(layout: str) -> None:
    """Whatever memory they lie in: a view that was read as if it were whole would be nonsense."""

    def drawn(rows: int) -> Tensor:
        if layout == "transposed":
            return torch.randn(40, rows).T
        return torch.randn(rows, 40) if layout == "whole" else torch.randn(rows, 90)[:, 30:70]

    torch.manual_seed(0)
    rows, weight = drawn(7), drawn(24)
    with torch.no_grad(), profile(activities=[ProfilerActivity.CPU]) as profiled:
        found = product(rows, weight)
    # Sums of 40 products of order one, in another order.
    torch.testing.assert_close(found, F.linear(rows, weight), rtol=1e-5, atol=1e-5)
    called = {event.key for event in profiled.key_averages()}
    assert ("mkldnn::_linear_pointwise" in called) == HAS_ONEDNN
    assert torch.equal(
        product(rows.double(), weight.double()), F.linear(rows.double(), weight.double())
    )
