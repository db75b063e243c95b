# SPDX-License-Identifier: Apache-2.0
"""The diffusion process: how photos become noise, and how a network takes the noise away again.

Ho et al., "Denoising Diffusion Probabilistic Models", NeurIPS 2020 (DDPM); Nichol & Dhariwal,
"Improved Denoising Diffusion Probabilistic Models", ICML 2021 (IDDPM). The papers count timesteps
from 1 to T, here they go from 0 to T - 1. Coefficients are float64; what they multiply keeps its
type.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]
Predict = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""x_t (N, 3, H, W) and timesteps (N,) -> noise and v, each like x_t."""
Follow = Callable[[Sequence[int]], Iterable[int]]
"""Is given the steps of a chain and yields them, to show how far it is."""
NoiseOf = Callable[[str], Tensor]
"""Noise (N, 3, H, W) from N(0, 1) by name."""


@dataclass(frozen=True, eq=False)
class Diffusion:
    """A chain of steps; step i of it is `timesteps[i]` to the network."""

    alpha_bars: Floats  # (K,), the share of the photo that is left after each step, decreasing
    timesteps: NDArray[np.int64]  # (K,)

    @classmethod
    def linear(cls, steps: int, first_beta: float, last_beta: float) -> "Diffusion":
        """Return the chain whose betas rise linearly (DDPM, Sec. 4)."""
        betas = np.linspace(first_beta, last_beta, steps, dtype=np.float64)
        return cls(np.cumprod(1 - betas).astype(np.float64), np.arange(steps))  # DDPM, before Eq. 4

    def __len__(self) -> int:
        return len(self.alpha_bars)

    def respaced(self, steps: int) -> "Diffusion":
        """Return the chain of `steps` evenly spaced ones of these, 2 to all (IDDPM, Sec. 4)."""
        if not 2 <= steps <= len(self):
            raise ValueError(
                f"{steps} sampling steps, expected 2 to {len(self)}, the steps of the training"
            )
        kept = np.rint(np.linspace(0, len(self) - 1, steps)).astype(np.int64)
        return Diffusion(self.alpha_bars[kept], self.timesteps[kept])

    @cached_property
    def alpha_bars_before(self) -> Floats:
        return np.append(1.0, self.alpha_bars[:-1])

    @cached_property
    def betas(self) -> Floats:
        return 1 - self.alpha_bars / self.alpha_bars_before  # IDDPM, Eq. 19

    @cached_property
    def posterior_variances(self) -> Floats:
        """Beta tilde; that of step 0, which is 0, as that of step 1, since logarithms are taken."""
        share = (1 - self.alpha_bars_before) / (1 - self.alpha_bars)
        variances = share * self.betas  # DDPM, Eq. 7
        return np.append(variances[1], variances[1:])

    def noised(self, x_0: Tensor, i: Tensor, noise: Tensor) -> Tensor:
        """Return x_t after step i (N,) of photos (N, 3, H, W) in [-1, 1]."""
        kept, added = self._shares(i, x_0)
        return kept * x_0 + added * noise  # DDPM, Eq. 4

    def photo(self, x_t: Tensor, i: Tensor, noise: Tensor) -> Tensor:
        """Return the photo to which the noise in x_t was added."""
        kept, added = self._shares(i, x_t)
        return (x_t - added * noise) / kept  # DDPM, Eq. 15

    def _shares(self, i: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return the factors of photo and noise in x_t."""
        kept, added = np.sqrt(self.alpha_bars), np.sqrt(1 - self.alpha_bars)
        return _at(kept, i, like), _at(added, i, like)

    def posterior_mean(self, x_0: Tensor, x_t: Tensor, i: Tensor) -> Tensor:
        """Return the mean of q(x_{t-1} | x_t, x_0)."""
        of_photo = np.sqrt(self.alpha_bars_before) * self.betas / (1 - self.alpha_bars)
        alphas = self.alpha_bars / self.alpha_bars_before
        of_noised = np.sqrt(alphas) * (1 - self.alpha_bars_before) / (1 - self.alpha_bars)
        return _at(of_photo, i, x_0) * x_0 + _at(of_noised, i, x_t) * x_t  # DDPM, Eq. 7

    def posterior_log_variance(self, i: Tensor, like: Tensor) -> Tensor:
        """Return the logarithm of its variance, (N, 1, 1, 1)."""
        return _at(np.log(self.posterior_variances), i, like)

    def log_variance(self, v: Tensor, i: Tensor) -> Tensor:
        """Return the learned one: between beta tilde (v = -1) and beta (v = 1)."""
        share = (v + 1) / 2
        largest, least = _at(np.log(self.betas), i, v), self.posterior_log_variance(i, v)
        return share * largest + (1 - share) * least  # IDDPM, Eq. 15

    def sampled(
        self,
        predict: Predict,
        noise: NoiseOf,
        follow: Follow = iter,
    ) -> Tensor:
        """Sample (N, 3, H, W) in [-1, 1] step by step (DDPM, Algorithm 2, learned variances).

        The photo that is seen at each step is clipped to its range.
        """
        x = noise("x_T")
        for step in follow(range(len(self) - 1, -1, -1)):
            i = torch.full((len(x),), step, device=x.device)
            predicted, v = predict(x, torch.full_like(i, int(self.timesteps[step])))
            photo = self.photo(x, i, predicted).clamp(-1, 1)
            x = self.posterior_mean(photo, x, i)
            if step > 0:
                deviation = (self.log_variance(v, i) / 2).exp()
                x = x + deviation * noise(f"step {self.timesteps[step]}")
        return x


def _at(values: Floats, i: Tensor, like: Tensor) -> Tensor:
    """Pick values[i] (N, 1, 1, 1), of the type and on the device of `like`."""
    table = torch.from_numpy(values).to(like.device, like.dtype)
    return table[i][:, None, None, None]
