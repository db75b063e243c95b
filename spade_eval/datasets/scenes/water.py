# SPDX-License-Identifier: Apache-2.0
"""What the water mirrors: the finished picture above the far shore, and the glitter of the sun."""

import numpy as np

from spade_eval.datasets.scenes import classes
from spade_eval.datasets.scenes.materials import Region, colour, mix, step
from spade_eval.datasets.scenes.noise import Array


def reflect(region: Region, body: Array, image: Array) -> Array:
    """Mix the water's own colour with its mirror image; flat views mirror most (Fresnel)."""
    geometry = region.geometry
    waves = region.ground("wave", 0.55) * region.style.swell
    shore = _far_shore(region)
    depth = region.y - shore
    row = (shore - depth * (1.0 + 0.25 * waves) - 0.012 * np.abs(waves)) * geometry.height
    rows = np.clip(row.astype(np.int32), 0, geometry.height - 1)
    shift = (waves * (0.012 + 0.06 * depth) * geometry.height).astype(np.int32)
    columns = np.clip(region.pixels % geometry.width + shift, 0, geometry.width - 1)
    mirrored = image[rows * geometry.width + columns]
    grazing = 0.62 - 0.5 * step(depth, 0.0, 0.5) - 0.12 * np.clip(waves, -1.5, 1.5)
    water = mix(body, mirrored * 0.92, np.clip(grazing, 0.05, 0.8))
    return water + _glitter(region, waves)[:, None] * colour(region.style.disc)


def _far_shore(region: Region) -> Array:
    """Height of the topmost water in the column of each pixel."""
    mask = region.geometry.image((region.geometry.labels == classes.SEA).astype(np.float32)) > 0
    top = mask.argmax(axis=0).astype(np.float32) / region.geometry.height
    return np.asarray(top[region.pixels % region.geometry.width], dtype=np.float32)


def _glitter(region: Region, waves: Array) -> Array:
    """Sun on the crests below a sun that stands in the picture."""
    if not region.light.behind:
        return np.zeros_like(waves)
    spread = 0.05 + 0.35 * np.maximum(region.y - region.geometry.horizon, 0.0)
    column = np.exp(-(((region.x - np.float32(region.light.sun[0])) / spread) ** 2))
    return column * step(waves, 0.0, 1.6) * (0.75 * (1.0 - region.style.grey))
