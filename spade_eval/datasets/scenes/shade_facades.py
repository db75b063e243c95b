# SPDX-License-Identifier: Apache-2.0
"""The shader of buildings: walls with storeys of windows in the perspective of the silhouette.

The upper and lower border at both ends of a silhouette give the vertical edges of its wall; a wall
whose borders converge recedes, and position along it follows the cross-ratio. What rises above the
line between the two upper corners is roof.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spade_eval.datasets.scenes.materials import Region, between, colour, mix, step
from spade_eval.datasets.scenes.noise import Array, sample
from spade_eval.datasets.scenes.palettes import Colour

_ROOFS: tuple[Colour, ...] = (
    (0.66, 0.32, 0.22),
    (0.52, 0.26, 0.20),
    (0.32, 0.33, 0.38),
    (0.42, 0.36, 0.33),
)
_GLASS = (0.15, 0.20, 0.28)
_LAMPLIGHT = (1.0, 0.80, 0.42)
_STOREY = 0.075  # height of a storey at the nearer end, in image heights
_CONVERGING = 1e-3  # fall of the upper times rise of the lower border of a wall that recedes
_STEEPEST = 2.0  # ratio of a wall's edges beyond which its windows would be less than a pixel wide


class _Wall(NamedTuple):
    """Vertical edges of one wall in image coordinates, and its place in the picture."""

    left: float
    right: float
    top: tuple[float, float]
    foot: tuple[float, float]


def shade_building(region: Region) -> Array:
    """Paint plaster and windows below, roof above, each wall as bright as its turn to the light."""
    plaster = region.pick(region.style.plasters)
    roofs = region.pick(_ROOFS, 0.03)
    order = np.argsort(region.ids, kind="stable")
    starts = np.flatnonzero(np.diff(region.ids[order], prepend=-1))
    result = np.empty_like(plaster)
    grime = 1.0 + 0.05 * region.texture("rough", 1.2) + 0.05 * region.texture("fractal", 0.9)
    for pixels in np.split(order, starts[1:]):
        wall = _wall_of(region, pixels)
        painted = _paint(region, pixels, wall, plaster[pixels] * grime[pixels, None], roofs[pixels])
        result[pixels] = painted
    return result


def _wall_of(region: Region, pixels: NDArray[np.intp]) -> _Wall:
    """Fit the wall behind the pixels of one instance, from its borders near both ends."""
    geometry = region.geometry
    identity = int(region.ids[pixels[0]])
    top, left, bottom, right = np.rint(geometry.boxes[identity] * geometry.height).astype(int)
    crop = geometry.ids.reshape(geometry.height, geometry.width)[top:bottom, left:right] == identity
    last, inset = crop.shape[1] - 1, crop.shape[1] // 12
    upper = (top + crop[:, [0, last]].argmax(axis=0)) / geometry.height
    within = crop[::-1, [inset, last - inset]]  # eaves overhang the wall by less than the inset
    lower = (bottom - within.argmax(axis=0)) / geometry.height
    if (upper[1] - upper[0]) * (lower[1] - lower[0]) > -_CONVERGING:
        upper, lower = np.full(2, upper.max()), np.full(2, lower.max())
    return _Wall(
        left / geometry.height,
        right / geometry.height,
        (float(upper[0]), float(upper[1])),
        (float(lower[0]), float(lower[1])),
    )


def _paint(
    region: Region, pixels: NDArray[np.intp], wall: _Wall, plaster: Array, roof: Array
) -> Array:
    style = region.style
    t = (region.x[pixels] - wall.left) / max(wall.right - wall.left, 1e-3)
    high = (max(wall.foot[0] - wall.top[0], 0.01), max(wall.foot[1] - wall.top[1], 0.01))
    column = high[0] + (high[1] - high[0]) * t
    v = (region.y[pixels] - (wall.top[0] + (wall.top[1] - wall.top[0]) * t)) / column
    u = t * high[1] / column  # the cross-ratio: equal steps recede towards the lower end
    storeys = max(1, round(max(high) / _STOREY))
    receding = min(max(high) / min(high), _STEEPEST)
    bays = max(1, round((wall.right - wall.left) / _STOREY * receding * 0.75))
    window, pane = _windows(u * bays, v * storeys, storeys)
    albedo = np.where((v < 0.05)[:, None], plaster * 0.75, plaster)
    albedo = np.where((v < -0.02)[:, None], _roofed(region, roof, v), albedo)
    sheen = mix(colour(_GLASS), 0.6 * colour(style.rim), 0.5 * pane)
    turned = (high[0] - high[1]) / max(high)  # positive: the wall faces right
    facing = 0.55 + 0.45 * turned * region.light.x - (0.15 if region.light.behind else 0.0)
    shaded = region.lit_at(pixels, np.where(window[:, None], sheen, albedo), facing)
    if style.is_night or style.daytime == "dusk":
        lamps = window & (pane > 0.45)
        shaded = np.where(lamps[:, None], colour(_LAMPLIGHT) * 0.9, shaded)
    return shaded


def _windows(u: Array, v: Array, storeys: int) -> tuple[NDArray[np.bool_], Array]:
    """Return where windows are on a grid of bays and storeys, and a number in 0..1 for each."""
    across, down = u - np.floor(u), v - np.floor(v)
    ground_floor = (v > storeys - 1) & (storeys > 2)
    upper = between(across, 0.26, 0.74) & between(down, 0.24, 0.74)
    lower = between(across, 0.12, 0.88) & (down > 0.25)
    inside = (v > 0.0) & (u > 0.0)
    number = sample("grain", np.floor(u) * np.float32(0.137), np.floor(v) * np.float32(0.271))
    return inside & np.where(ground_floor, lower, upper), step(number, -1.6, 1.6)


def _roofed(region: Region, roof: Array, v: Array) -> Array:
    """Courses of tiles, under snow in winter."""
    courses = 1.0 + 0.12 * np.sin(v * 60.0)
    tiled = roof * courses[:, None]
    snow = np.full_like(v, min(1.6 * region.style.snow, 0.9))
    return mix(tiled, colour((0.92, 0.94, 1.0)), snow)
