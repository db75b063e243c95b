# SPDX-License-Identifier: Apache-2.0
"""KL divergence of the encoder's Gaussian from N(0, I) (Kingma & Welling 2014; SPADE Eq. 4)."""

from torch import Tensor


def kl_divergence(mu: Tensor, logvar: Tensor) -> Tensor:
    """(N, Z), (N, Z) -> the sum over batch and dimensions, as the SPADE code weighs it."""
    return -0.5 * (1 + logvar - mu.square() - logvar.exp()).sum()
