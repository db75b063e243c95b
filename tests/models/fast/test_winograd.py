# SPDX-License-Identifier: Apache-2.0
"""Winograd's convolutions against torch's: exact in float64, and as well rounded in float32."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.models.fast.winograd import (
    FastConv2d,
    _pieces,
    winograd_convolution,
    winograd_is_faster,
)

# Sums of up to 9 * 64 float64 products of order one; a wrong tap would be off by order one.
EXACT = {"atol": 1e-12, "rtol": 0.0}


def _random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def _direct(
    x: Tensor, weight: Tensor, bias: Tensor | None, padding_mode: str, dilation: int = 1
) -> Tensor:
    mode = "constant" if padding_mode == "zeros" else padding_mode
    return F.conv2d(F.pad(x, (dilation,) * 4, mode=mode), weight, bias, dilation=dilation)


@pytest.mark.parametrize("padding_mode", ["zeros", "reflect"])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    ("batch", "channels", "out", "height", "width"),
    [
        (1, 1, 1, 4, 4),  # one tile, which meets every border
        (3, 5, 7, 8, 12),
        (2, 64, 3, 4, 40),
        (9, 2, 3, 32, 32),  # several images at once, and a rest
        (1, 3, 2, 200, 48),  # several pieces of one image, and a rest
        (1, 2, 2, 4, 2400),  # a row of tiles that is longer than a piece
        (2, 3, 4, 7, 9),  # tiles that reach beyond the image
        (1, 512, 2, 5, 4),  # sums in two parts
    ],
)
def test_equals_the_direct_convolution(
    batch: int,
    channels: int,
    out: int,
    height: int,
    width: int,
    memory_format: torch.memory_format,
    padding_mode: str,
) -> None:
    x = _random(batch, channels, height, width).contiguous(memory_format=memory_format)
    weight, bias = _random(out, channels, 3, 3, seed=1), _random(out, seed=2)
    for given in (bias, None):
        actual = winograd_convolution(x, weight, given, padding_mode)
        torch.testing.assert_close(actual, _direct(x, weight, given, padding_mode), **EXACT)
        assert actual.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("size", [(33, 33), (8, 5), (3, 2)])  # the last smaller than dilations
@pytest.mark.parametrize("dilation", [2, 4, 6])
def test_dilated_convolutions_by_their_parts(dilation: int, size: tuple[int, int]) -> None:
    x, weight, bias = _random(2, 3, *size), _random(4, 3, 3, 3, seed=1), _random(4, seed=2)
    actual = winograd_convolution(x, weight, bias, dilation=dilation)
    torch.testing.assert_close(actual, _direct(x, weight, bias, "zeros", dilation), **EXACT)
    assert actual.is_contiguous(memory_format=torch.channels_last)


def test_pieces_cover_every_tile_once() -> None:
    for batch, down, across in ((9, 8, 8), (1, 50, 12), (2, 1, 600), (1, 1, 1)):
        seen = torch.zeros(batch, down, dtype=torch.int64)
        for images, rows in _pieces(batch, down, across):
            seen[images, rows] += 1
        assert (seen == 1).all()


def _term_by_term(x: Tensor, weight: Tensor) -> Tensor:
    """The direct sum in float32, one product after the other: the same on every processor.

    Torch's own convolution is no such measure: it adds up many partial sums side by side, and the
    wider the processor's vectors, the smaller its rounding errors (a third with AVX-512).
    """
    columns = F.unfold(x, 3, padding=1)  # (N, 9 C, H W)
    rows = weight.flatten(1)
    total = torch.zeros(x.shape[0], weight.shape[0], columns.shape[2])
    for term in range(rows.shape[1]):
        total += rows[:, term : term + 1] * columns[:, term : term + 1]
    return total.view(x.shape[0], -1, *x.shape[2:])


@pytest.mark.parametrize("channels", [64, 512])
def test_rounds_about_as_the_direct_sum_does(channels: int) -> None:
    """Measured: 0.6 to 2.2 times the largest error of the direct sum."""
    x = F.leaky_relu(_random(2, channels, 32, 32), 0.2).float()
    weight = (_random(64, channels, 3, 3, seed=1) / (9 * channels) ** 0.5).float()
    exact = F.conv2d(x.double(), weight.double(), padding=1)
    error = (winograd_convolution(x, weight, None) - exact).abs().max().item()
    assert error <= 3 * (_term_by_term(x, weight) - exact).abs().max().item()
    assert error <= 2e-5  # the bound of all fast forms


def _layer(kind: type[nn.Conv2d] = FastConv2d, **options: object) -> nn.Conv2d:
    torch.manual_seed(0)
    settings = {"in_channels": 4, "out_channels": 6, "kernel_size": 3, "padding": 1, **options}
    layer = kind(**settings)
    layer.always = True
    return layer


def _takes_winograd(layer: nn.Conv2d, x: Tensor, monkeypatch: pytest.MonkeyPatch) -> bool:
    taken = []

    def spy(*arguments: object) -> Tensor:
        taken.append(arguments)
        return winograd_convolution(*arguments)

    monkeypatch.setattr("spade_eval.models.fast.winograd.winograd_convolution", spy)
    layer(x)
    return bool(taken)


@pytest.mark.parametrize(
    ("options", "shape", "expected"),
    [
        ({}, (2, 4, 8, 8), True),
        ({"padding_mode": "reflect"}, (2, 4, 8, 8), True),
        ({"padding_mode": "circular"}, (2, 4, 8, 8), False),
        ({"stride": 2}, (2, 4, 8, 8), False),
        ({"padding": 0}, (2, 4, 8, 8), False),
        ({"dilation": 2, "padding": 2}, (2, 4, 8, 8), True),
        ({"dilation": 2, "padding": 1}, (2, 4, 8, 8), False),
        ({"dilation": (2, 1), "padding": (2, 1)}, (2, 4, 8, 8), False),
        ({"groups": 2}, (2, 4, 8, 8), False),
        ({"kernel_size": 5, "padding": 2}, (2, 4, 8, 8), False),
        ({}, (2, 4, 7, 6), True),
    ],
)
@torch.no_grad()
def test_taken_where_it_is_the_same(
    options: dict[str, object],
    shape: tuple[int, ...],
    expected: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layer, x = _layer(**options), _random(*shape, dtype=torch.float32)
    assert _takes_winograd(layer, x, monkeypatch) is expected
    actual = layer(x)
    # Up to 9 * 4 float32 products of order one.
    torch.testing.assert_close(actual, _layer(nn.Conv2d, **options)(x), atol=2e-6, rtol=0.0)


def test_not_taken_with_gradients_nor_in_half_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = _layer(), _random(2, 4, 8, 8, dtype=torch.float32)
    assert not _takes_winograd(layer, x, monkeypatch)
    with torch.no_grad():
        assert _takes_winograd(layer, x, monkeypatch)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert not _takes_winograd(layer, x, monkeypatch)
        assert not _takes_winograd(_layer(nn.Conv2d), x, monkeypatch)
        assert not _takes_winograd(_layer().bfloat16(), x.bfloat16(), monkeypatch)


def test_the_rule_reads_the_shapes() -> None:
    def faster(batch: int, size: int, channels: int, out: int, dilation: int = 1) -> bool:
        x = torch.empty(batch, channels, size, size, device="meta")
        return winograd_is_faster(x, torch.empty(out, channels, 3, 3, device="meta"), dilation)

    assert faster(4, 32, 1024, 512)
    assert faster(4, 128, 256, 128)
    assert not faster(4, 256, 64, 64)  # transforming costs more than it saves
    assert not faster(4, 256, 64, 3)
    assert not faster(1, 8, 1024, 1024)  # transforming the kernels does
    assert faster(4, 33, 512, 512, 4)
    assert not faster(4, 33, 2048, 182, 24)  # most taps meet padding, which costs nothing
