# SPDX-License-Identifier: Apache-2.0
"""Latents in training: drawn from N(0, 1), or from the image encoder's posterior.

Park et al., CVPR 2019, Sec. 3 "Multi-modal synthesis" and the random input of Table 4. All noise is
a pure function of (seed, step, micro step, phase): no random state has to be saved or restored.
"""

import zlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from spade_eval.models.encoders.variational import reparametrise


def noise(seed: int, step: int, micro: int, phase: str, shape: tuple[int, ...]) -> Tensor:
    """Standard normal numbers on the CPU, the same for equal arguments on every machine."""
    seeds = np.random.SeedSequence((seed, step, micro, zlib.crc32(phase.encode())))
    drawn = np.random.Generator(np.random.PCG64(seeds)).standard_normal(shape, dtype=np.float32)
    return torch.from_numpy(drawn)


@dataclass(frozen=True)
class Latent:
    """z (N, z_dim), and the posterior it was drawn from if an encoder gave one."""

    z: Tensor
    mu: Tensor | None = None
    logvar: Tensor | None = None


@dataclass(frozen=True)
class LatentSource:
    """Where the latents of a batch come from: the encoder if there is one, else N(0, 1).

    Noise is drawn for the batch of all processes; each takes the rows of its own images.
    """

    z_dim: int
    seed: int
    encoder: nn.Module | None = None
    rank: int = 0
    world_size: int = 1

    def __call__(self, photos: Tensor, step: int, micro: int, phase: str) -> Latent:
        """Latents for photos (N, 3, H, W) in [-1, 1]; `phase` tells the draws of a step apart."""
        count = photos.shape[0]
        drawn = noise(self.seed, step, micro, phase, (count * self.world_size, self.z_dim))
        drawn = drawn[self.rank * count : (self.rank + 1) * count].to(photos.device)
        if self.encoder is None:
            return Latent(drawn)
        # Sampling and divergence take exponentials: in float32 whatever the encoder computes in.
        mu, logvar = (half.float() for half in self.encoder(photos))
        return Latent(reparametrise(mu, logvar, drawn), mu, logvar)
