# SPDX-License-Identifier: Apache-2.0
"""The diffusion process: its coefficients by their definitions, shorter chains, sampling."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from spade_eval.models.diffusion import Diffusion

CHAIN = Diffusion.linear(1000, 1e-4, 0.02)


def normal(seed: int, *shape: int) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=random, dtype=torch.float64)


def test_betas_rise_linearly_and_leave_almost_no_photo() -> None:
    assert CHAIN.betas == pytest.approx(np.linspace(1e-4, 0.02, 1000), rel=1e-11)
    assert CHAIN.alpha_bars[-1] == pytest.approx(4.0358e-5, rel=1e-4)  # as in DDPM, Sec. 4: L_T ~ 0
    assert CHAIN.timesteps.tolist() == list(range(1000))


def test_a_photo_noised_step_by_step_has_the_moments_of_one_jump() -> None:
    """q(x_t | x_0) is what t + 1 steps of q(x_t | x_{t-1}) (DDPM, Eq. 2) make of x_0."""
    mean, variance = 1.0, 0.0
    for t in range(300):
        beta = float(CHAIN.betas[t])
        mean, variance = math.sqrt(1 - beta) * mean, (1 - beta) * variance + beta
    i, zeros = torch.tensor([299]), torch.zeros(1, 3, 2, 2, dtype=torch.float64)
    ones = torch.ones_like(zeros)
    assert float(CHAIN.noised(ones, i, zeros)[0, 0, 0, 0]) == pytest.approx(mean, rel=1e-12)
    noise = float(CHAIN.noised(zeros, i, ones)[0, 0, 0, 0])
    assert noise**2 == pytest.approx(variance, rel=1e-12)


@pytest.mark.parametrize("t", [1, 2, 500, 999])
def test_the_posterior_is_bayes_rule(t: int) -> None:
    """N(x_t; sqrt(1 - b) x, b) N(x; sqrt(a) x_0, 1 - a), as a function of x, by its two moments."""
    before, beta = float(CHAIN.alpha_bars[t - 1]), float(CHAIN.betas[t])
    x_0, x_t = 0.3, -0.8
    precision = (1 - beta) / beta + 1 / (1 - before)
    mean = (math.sqrt(1 - beta) * x_t / beta + math.sqrt(before) * x_0 / (1 - before)) / precision
    i, like = torch.tensor([t]), torch.ones(1, 3, 1, 1, dtype=torch.float64)
    found = CHAIN.posterior_mean(x_0 * like, x_t * like, i)
    assert float(found[0, 0, 0, 0]) == pytest.approx(mean, rel=1e-9)
    log_variance = CHAIN.posterior_log_variance(i, like)
    assert float(log_variance) == pytest.approx(-math.log(precision), rel=1e-9)


def test_the_photo_is_found_again_from_its_noise() -> None:
    x_0, noise, i = normal(0, 3, 3, 4, 4), normal(1, 3, 3, 4, 4), torch.tensor([0, 400, 999])
    torch.testing.assert_close(CHAIN.photo(CHAIN.noised(x_0, i, noise), i, noise), x_0)


def test_the_learned_variance_lies_between_its_bounds() -> None:
    i, like = torch.tensor([0, 700]), torch.ones(2, 3, 1, 1, dtype=torch.float64)
    largest = CHAIN.log_variance(like, i)[:, 0, 0, 0].exp().numpy()
    least = CHAIN.log_variance(-like, i)[:, 0, 0, 0].exp().numpy()
    assert largest == pytest.approx(CHAIN.betas[[0, 700]], rel=1e-12)
    assert least == pytest.approx(CHAIN.posterior_variances[[0, 700]], rel=1e-12)
    middle = CHAIN.log_variance(0 * like, i)[:, 0, 0, 0].exp().numpy()
    assert middle == pytest.approx(np.sqrt(largest * least), rel=1e-12)
    assert CHAIN.posterior_variances[0] == CHAIN.posterior_variances[1] > 0


@pytest.mark.parametrize(
    ("steps", "timesteps"),
    [(2, [0, 999]), (4, [0, 333, 666, 999]), (5, [0, 250, 500, 749, 999])],
)
def test_shorter_chains_are_evenly_spaced_and_keep_what_is_left_of_the_photo(
    steps: int, timesteps: list[int]
) -> None:
    chain = CHAIN.respaced(steps)
    assert chain.timesteps.tolist() == timesteps
    assert chain.alpha_bars.tolist() == CHAIN.alpha_bars[timesteps].tolist()
    assert np.cumprod(1 - chain.betas) == pytest.approx(chain.alpha_bars, rel=1e-12)


def test_the_whole_chain_is_one_of_its_own() -> None:
    whole = CHAIN.respaced(1000)
    assert np.array_equal(whole.alpha_bars, CHAIN.alpha_bars)
    assert np.array_equal(whole.timesteps, CHAIN.timesteps)


@pytest.mark.parametrize("steps", [0, 1, 1001])
def test_chains_that_there_are_not_are_refused(steps: int) -> None:
    with pytest.raises(ValueError, match=f"{steps} sampling steps, expected 2 to 1000"):
        CHAIN.respaced(steps)


def test_a_network_that_knows_the_photo_samples_it() -> None:
    photo = normal(2, 2, 3, 4, 4).clamp(-1, 1)
    chain, seen = CHAIN.respaced(7), []

    def predict(x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        seen.append(int(t[0]))
        kept = torch.from_numpy(CHAIN.alpha_bars)[t][:, None, None, None]
        return (x - kept.sqrt() * photo) / (1 - kept).sqrt(), torch.zeros_like(x)

    drawn: list[str] = []

    def noise(name: str) -> Tensor:
        drawn.append(name)
        return normal(len(drawn), 2, 3, 4, 4)

    torch.testing.assert_close(chain.sampled(predict, noise), photo)
    assert seen == chain.timesteps.tolist()[::-1]
    assert drawn == ["x_T", *(f"step {t}" for t in seen[:-1])], "none at the last step"


def test_the_photo_of_every_step_is_clipped() -> None:
    """A network that sees no noise ever takes all of x_t for a photo of far too large values."""

    def predict(x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(x), torch.zeros_like(x)

    image = CHAIN.respaced(3).sampled(predict, lambda name: normal(0, 1, 3, 8, 8))
    assert float(image.abs().max()) == 1.0
