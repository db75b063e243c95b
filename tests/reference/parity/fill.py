# SPDX-License-Identifier: Apache-2.0
"""The deterministic weights of the reference data: a function of each tensor's published name."""

import zlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spade_eval.models.checkpoints.published import Names, load_published, to_published

POWER_ITERATIONS = 20


def draw(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Standard normal numbers seeded by the CRC-32 of a name."""
    seed = zlib.crc32(name.encode("utf-8"))
    return np.random.Generator(np.random.PCG64(seed)).standard_normal(shape).astype(np.float32)


def filled(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Weights, biases and statistics by the last part of the name (rules 1 to 5).

    CLADE's tables of scales and shifts are filled like the weights and biases of a norm, SEAN's
    weights of noise and of mixing like biases.
    """
    leaf = name.rpartition(".")[2]
    d = draw(name, shape)
    if leaf in ("running_var", "stored_var"):
        return np.float32(0.5) * np.abs(d) + np.float32(0.5)
    if leaf in ("running_mean", "stored_mean") or (leaf in ("bias", "beta") and len(shape) == 1):
        return np.float32(0.1) * d
    if name.endswith("class_specified_affine.bias"):
        return np.float32(0.1) * d
    if leaf == "noise_var" or leaf.startswith("blending_"):
        return np.float32(0.1) * d
    if len(shape) >= 2 and not name.endswith("class_specified_affine.weight"):
        return d * np.float32(1 / np.sqrt(np.prod(shape[1:])))
    return np.float32(1) + np.float32(0.1) * d


def spectral_vectors(
    weight: NDArray[np.float32], start: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """u and v after 20 power iterations in float64 (rule 6)."""
    matrix = weight.astype(np.float64)
    if matrix.shape[0] != start.size:  # a transposed convolution: the output axis comes second
        matrix = matrix.swapaxes(0, 1)
    matrix = matrix.reshape(start.size, -1)
    u = start.astype(np.float64) / np.linalg.norm(start.astype(np.float64))
    for _ in range(POWER_ITERATIONS):
        v = matrix.T @ u
        v /= np.linalg.norm(v)
        u = matrix @ v
        u /= np.linalg.norm(u)
    return u.astype(np.float32), v.astype(np.float32)


def filled_state(shapes: dict[str, tuple[int, ...]], prefix: str = "") -> dict[str, Tensor]:
    """A whole state dict for published names; the prefix enters the seed alone."""
    state: dict[str, Tensor] = {}
    for name, shape in shapes.items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.zeros(shape, dtype=torch.int64)
        elif not name.endswith(("weight_u", "weight_v")):
            state[name] = torch.from_numpy(np.asarray(filled(prefix + name, shape)))
    for name in [name for name in shapes if name.endswith("weight_u")]:
        layer = name.removesuffix("weight_u")
        weight = state[f"{layer}weight_orig"].numpy()
        u, v = spectral_vectors(weight, draw(prefix + name, shapes[name]))
        state[f"{layer}weight_u"], state[f"{layer}weight_v"] = map(torch.from_numpy, (u, v))
    return state


def fill(network: nn.Module, prefix: str = "", names: Names | None = None) -> None:
    """Fill a network of a published family; layers and blocks have the reference's names as is."""
    shapes = {name: tuple(t.shape) for name, t in network.state_dict().items()}
    if not hasattr(network, "config"):
        network.load_state_dict(filled_state(shapes, prefix))
        return
    shapes = {
        name: tuple(tensor.shape) for name, tensor in to_published(network, names=names).items()
    }
    load_published(network, filled_state(shapes, prefix), names)
