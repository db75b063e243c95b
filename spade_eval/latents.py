# SPDX-License-Identifier: Apache-2.0
"""Latent vectors as a pure function of (seed, image index), so that batching cannot move them."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def standard_normal(z_dim: int, seed: int, indices: Sequence[int], draw: int = 0) -> Tensor:
    """(N, z_dim) float32 from N(0, 1); row i depends on `seed`, `indices[i]` and `draw` alone."""
    rows = []
    for index in indices:
        stream = np.random.PCG64(np.random.SeedSequence((seed, index, draw)))
        rows.append(np.random.Generator(stream).standard_normal(z_dim, dtype=np.float32))
    return torch.from_numpy(np.stack(rows))
