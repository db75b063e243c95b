# SPDX-License-Identifier: Apache-2.0
"""The bound of the likelihood against distributions of other libraries, and whom it moves."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from spade_eval.models.diffusion import Diffusion
from spade_eval.models.losses.diffusion import (
    level_log_likelihood,
    noise_error,
    normal_divergence,
    variational_bits,
)

CHAIN = Diffusion.linear(1000, 1e-4, 0.02)


def normal(seed: int, *shape: int) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=random, dtype=torch.float64)


def test_the_divergence_is_that_of_torch() -> None:
    means, logs = (normal(0, 50), normal(1, 50)), (normal(2, 50), normal(3, 50))
    found = normal_divergence(means[0], logs[0], means[1], logs[1])
    first, second = (Normal(m, (v / 2).exp()) for m, v in zip(means, logs, strict=True))
    torch.testing.assert_close(found, kl_divergence(first, second))


def test_the_shares_of_all_levels_are_a_distribution() -> None:
    """DDPM, Eq. 13: 256 levels, of which the outer two take all that lies beyond."""
    levels = torch.from_numpy(np.arange(256) / 127.5 - 1)
    for mean, deviation in ((0.1, 0.02), (-0.97, 0.3), (1.4, 0.5)):
        like = torch.ones_like(levels)
        shares = level_log_likelihood(levels, mean * like, 2 * math.log(deviation) * like).exp()
        assert float(shares.sum()) == pytest.approx(1.0, abs=1e-9)
        below = Normal(mean, deviation).cdf(torch.tensor(-1 + 1 / 255, dtype=torch.float64))
        assert float(shares[0]) == pytest.approx(float(below), rel=1e-5, abs=2e-12)


def test_a_network_that_knows_all_pays_for_its_variance_alone() -> None:
    photos, noise, i = (
        normal(0, 2, 3, 4, 4).clamp(-1, 1),
        normal(1, 2, 3, 4, 4),
        torch.tensor([5, 900]),
    )
    x_t = CHAIN.noised(photos, i, noise)
    nothing = variational_bits(CHAIN, photos, x_t, i, noise, torch.full_like(noise, -1))
    torch.testing.assert_close(nothing, torch.zeros_like(nothing), atol=1e-12, rtol=0)
    ratio = torch.from_numpy(CHAIN.posterior_variances / CHAIN.betas)[i]
    expected = (ratio - 1 - ratio.log()) / 2 / math.log(2)
    found = variational_bits(CHAIN, photos, x_t, i, noise, torch.ones_like(noise))
    torch.testing.assert_close(found, expected)


def test_the_last_step_pays_for_the_level_of_each_value() -> None:
    levels = torch.randint(0, 256, (1, 3, 4, 4), generator=torch.Generator().manual_seed(0))
    photos, noise, i = levels / 127.5 - 1, normal(1, 1, 3, 4, 4), torch.tensor([0])
    photos, v = photos.double(), normal(2, 1, 3, 4, 4)
    x_t = CHAIN.noised(photos, i, noise)
    found = variational_bits(CHAIN, photos, x_t, i, noise, v)
    expected = -level_log_likelihood(photos, photos, CHAIN.log_variance(v, i)).mean()
    assert float(found) == pytest.approx(float(expected) / math.log(2), rel=1e-9)


@pytest.mark.parametrize("t", [0, 1, 400])
def test_the_bound_moves_the_variance_alone(t: int) -> None:
    photos, i = normal(0, 1, 3, 4, 4).clamp(-1, 1), torch.tensor([t])
    predicted, v = normal(2, 1, 3, 4, 4).requires_grad_(), normal(3, 1, 3, 4, 4).requires_grad_()
    x_t = CHAIN.noised(photos, i, normal(1, 1, 3, 4, 4))
    variational_bits(CHAIN, photos, x_t, i, predicted, v).sum().backward()
    assert predicted.grad is None
    assert v.grad is not None
    assert v.grad.isfinite().all()
    assert v.grad.any()


def test_the_error_of_the_noise_is_a_mean_of_squares() -> None:
    a, b = normal(0, 2, 3, 4, 4), normal(1, 2, 3, 4, 4)
    expected = np.square(a.numpy() - b.numpy()).mean()
    assert float(noise_error(a, b)) == pytest.approx(float(expected))
