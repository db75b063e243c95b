# SPDX-License-Identifier: Apache-2.0
"""What a diffusion model learns from: the noise in an image, and the variance of a step back.

Ho et al., NeurIPS 2020 (DDPM); Nichol & Dhariwal, ICML 2021 (IDDPM). The bound of the likelihood
moves the variance alone: to it the predicted noise is a constant (IDDPM, Sec. 3.1).
"""

import math

import torch
from torch import Tensor

from spade_eval.models.diffusion import Diffusion

_HALF_LEVEL = 1 / 255  # of 8-bit values as numbers from -1 to 1
_LEAST_PROBABILITY = 1e-12


def noise_error(noise: Tensor, predicted: Tensor) -> Tensor:
    """Return the mean squared error of the predicted noise (DDPM, Eq. 14)."""
    return (noise - predicted).square().mean()


def variational_bits(
    diffusion: Diffusion, x_0: Tensor, x_t: Tensor, i: Tensor, predicted: Tensor, v: Tensor
) -> Tensor:
    """Return (N,) bits a value of step i (N,): L_{t-1}, and L_0 where i is 0 (DDPM, Eq. 5).

    Of photos x_0 in [-1, 1] and their noisy x_t, both (N, 3, H, W); its gradient is of v alone.
    """
    photo = diffusion.photo(x_t, i, predicted.detach())
    mean = diffusion.posterior_mean(photo, x_t, i)
    log_variance = diffusion.log_variance(v, i)
    true_mean = diffusion.posterior_mean(x_0, x_t, i)
    true_log_variance = diffusion.posterior_log_variance(i, x_t)
    divergence = normal_divergence(true_mean, true_log_variance, mean, log_variance)
    likelihood = level_log_likelihood(x_0, mean, log_variance)
    nats = torch.where(i[:, None, None, None] == 0, -likelihood, divergence)
    return nats.mean(dim=(1, 2, 3)) / math.log(2)


def normal_divergence(
    mean: Tensor, log_variance: Tensor, other_mean: Tensor, other_log_variance: Tensor
) -> Tensor:
    """Return the Kullback-Leibler divergence of the second normal from the first, in nats."""
    ratio = (log_variance - other_log_variance).exp()
    distance = (mean - other_mean).square() * (-other_log_variance).exp()
    return (other_log_variance - log_variance + ratio + distance - 1) / 2


def level_log_likelihood(x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the logarithm of a normal's share in the 8-bit level around x (DDPM, Eq. 13)."""
    scale = (-log_variance / 2).exp()
    above = torch.special.ndtr((x + _HALF_LEVEL - mean) * scale)
    below = torch.special.ndtr((x - _HALF_LEVEL - mean) * scale)
    above = torch.where(x > 1 - _HALF_LEVEL, 1.0, above)  # the lightest level has no upper end
    below = torch.where(x < -1 + _HALF_LEVEL, 0.0, below)  # the darkest one no lower end
    return (above - below).clamp(min=_LEAST_PROBABILITY).log()
