# SPDX-License-Identifier: Apache-2.0
"""MS-SSIM against its definition written out window by window."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from spade_eval.errors import UserError
from spade_eval.metrics.ms_ssim import LEAST_SIDE, SCALE_WEIGHTS, ms_ssim


def draw(size: tuple[int, int], seed: int, count: int = 1, channels: int = 3) -> Tensor:
    """Smooth images, so that all scales have something to compare."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, channels, 12, 12, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size, mode="bilinear")
    noise = torch.rand(count, channels, *size, generator=generator)
    return 0.7 * smooth + 0.3 * noise


def brute_force(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """MS-SSIM of two (H, W) arrays by loops over window places."""
    places = np.arange(11) - 5
    window = np.exp(-(places[:, None] ** 2 + places[None, :] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    product = 1.0
    for scale, weight in enumerate(SCALE_WEIGHTS):
        terms = []
        for row in range(x.shape[0] - 10):
            for column in range(x.shape[1] - 10):
                a = x[row : row + 11, column : column + 11]
                b = y[row : row + 11, column : column + 11]
                mean_a, mean_b = (window * a).sum(), (window * b).sum()
                variance_a = (window * (a - mean_a) ** 2).sum()
                variance_b = (window * (b - mean_b) ** 2).sum()
                covariance = (window * (a - mean_a) * (b - mean_b)).sum()
                term = (2 * covariance + 0.0009) / (variance_a + variance_b + 0.0009)
                if scale == 4:
                    term *= (2 * mean_a * mean_b + 0.0001) / (mean_a**2 + mean_b**2 + 0.0001)
                terms.append(term)
        product *= max(float(np.mean(terms)), 0.0) ** weight
        x, y = halved(x), halved(y)
    return product


def halved(x: NDArray[np.float64]) -> NDArray[np.float64]:
    x = np.pad(x, ((0, x.shape[0] % 2), (0, x.shape[1] % 2)), mode="edge")
    return (x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]) / 4


# The least size, where halving is odd at every scale, and an even one.
@pytest.mark.parametrize("size", [(161, 161), (176, 162)])
def test_equals_the_definition(size: tuple[int, int]) -> None:
    x, y = draw(size, 0, channels=1).double(), draw(size, 1, channels=1).double()
    y = 0.6 * x + 0.4 * y
    expected = brute_force(x[0, 0].numpy(), y[0, 0].numpy())
    assert 0.1 < expected < 0.95
    # Variances as differences of squares in float64.
    assert ms_ssim(x, y).item() == pytest.approx(expected, rel=1e-10)


def test_channels_are_averaged_and_images_apart() -> None:
    x, y = draw((170, 180), 2, count=2), draw((170, 180), 3, count=2)
    y = 0.5 * (x + y)
    single = [
        ms_ssim(x[i : i + 1, c : c + 1], y[i : i + 1, c : c + 1]).item()
        for i in range(2)
        for c in range(3)
    ]
    expected = [math.fsum(single[:3]) / 3, math.fsum(single[3:]) / 3]
    np.testing.assert_allclose(ms_ssim(x, y).numpy(), expected, rtol=1e-12)


def test_symmetric_and_1_for_equal_images() -> None:
    x, y = draw((161, 200), 4), draw((161, 200), 5)
    assert torch.equal(ms_ssim(x, y), ms_ssim(y, x))
    assert ms_ssim(x, x).item() == pytest.approx(1, abs=1e-12)
    assert ms_ssim(x, 1 - x).item() == 0  # negative structure counts as none


def test_small_images_are_refused() -> None:
    small = torch.zeros(1, 3, LEAST_SIDE - 1, 256)
    with pytest.raises(UserError, match=r"160x256: five scales need at least 161 pixels a side"):
        ms_ssim(small, small)
    with pytest.raises(ValueError, match="expected two"):
        ms_ssim(torch.zeros(1, 3, 200, 200), torch.zeros(1, 3, 200, 201))
