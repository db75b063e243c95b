# SPDX-License-Identifier: Apache-2.0
"""Shaders of the ground plane: sea, sand, grass, fields, roads and pavements in perspective."""

import numpy as np
from numpy.typing import NDArray

from spade_eval.datasets.scenes import classes
from spade_eval.datasets.scenes.materials import Region, between, colour, mix, step
from spade_eval.datasets.scenes.noise import Array

_SNOW = (0.90, 0.93, 1.0)
_PAINT = (0.92, 0.91, 0.86)
_FLOWERS = ((0.95, 0.92, 0.90), (0.95, 0.80, 0.20), (0.80, 0.25, 0.30), (0.70, 0.45, 0.80))


def _facing(region: Region) -> float:
    """Direct light on level ground: the sine of the sun's height, flattened for a pleasant view."""
    return 0.45 + 0.45 * region.style.elevation


def shade_sand(region: Region) -> Array:
    """Paint ripples and footprints; wet and dark along the water."""
    ripples = 0.05 * region.ground("wave", 0.9) + 0.04 * region.ground("rough", 0.8)
    patches = 0.05 * region.ground("fractal", 0.25) + 0.03 * region.texture("grain", 1.0)
    albedo = colour(region.style.sand) * (1.0 + ripples + patches)[:, None]
    wet = step(region.nearness(classes.SEA, 0.045), 0.02, 0.3)
    return region.lit(albedo * (1.0 - 0.3 * wet)[:, None], _facing(region) + ripples)


def shade_grass(region: Region) -> Array:
    """Paint tufts and dry patches, flowers in spring and summer, thin snow in winter."""
    style = region.style
    tufts = region.ground("blob", 1.3, 0.6)
    patches = region.ground("fractal", 0.35)
    blades = region.texture("rough", 1.7, 0.5)
    albedo = colour(style.grass) * (1.0 + 0.1 * tufts + 0.07 * blades)[:, None]
    albedo = mix(albedo, colour(style.grass) * colour((1.18, 1.02, 0.75)), step(patches, 0.0, 2.5))
    if style.flowers > 0.45:
        bloom = (region.ground("grain", 0.9) > 1.9) & (patches > -0.2)
        kind = _FLOWERS[int(region.rng.integers(len(_FLOWERS)))]
        albedo = mix(albedo, colour(kind), 0.8 * bloom)
    if style.snow > 0.0:
        drift = step(
            patches + 0.45 * tufts + 0.3 * blades, 1.1 - 2.4 * style.snow, 1.9 - 2.4 * style.snow
        )
        albedo = mix(albedo, colour(_SNOW), 0.88 * drift)
    return region.lit(albedo, _facing(region) + 0.1 * region.texture("fractal", 1.1))


def shade_field(region: Region) -> Array:
    """Paint rows of one crop, which run to the horizon, over brown soil."""
    style = region.style
    rows = np.sin(region.across * 16.0 + 0.5 * region.ground("fractal", 0.3))
    gaps = step(rows, 0.1, 0.9) * np.clip(region.fade * 1.6 - 0.45, 0.0, 1.0)
    speckle = 1.0 + 0.1 * region.ground("rough", 0.9) + 0.05 * region.texture("rough", 1.5)
    albedo = mix(colour(style.crop), colour(style.crop) * 0.55 + colour((0.05, 0.02, 0.0)), gaps)
    if style.snow > 0.0:
        albedo = mix(albedo, colour(_SNOW), 0.75 * style.snow * step(-rows, -0.3, 0.6))
    return region.lit(albedo * speckle[:, None], _facing(region))


def shade_pavement(region: Region) -> Array:
    """Paint slabs, each a little different from the next, with joints that fade with distance."""
    tone = 1.0 + 0.05 * region.ground("rough", 0.6) + 0.05 * region.ground("fractal", 0.3)
    x, z = region.across * 4.0, region.distance * 4.0
    joint = (x - np.floor(x) < 0.1) | (z - np.floor(z) < 0.12)
    near = step(-region.distance, -4.0, -1.2)
    slab = np.sin(np.floor(x) * 12.9898 + np.floor(z) * 78.233) * 0.045 * near
    albedo = colour(region.style.paving) * (tone + slab - 0.2 * joint * near)[:, None]
    return region.lit(albedo, _facing(region))


def shade_road(region: Region) -> Array:
    """Paint asphalt with wheel tracks, edge lines and a dashed centre line."""
    lane, along, share = _lane_coordinates(region)
    tracks = np.cos(lane * 9.5) * 0.04
    tone = 1.0 + tracks + 0.07 * region.ground("rough", 0.8) + 0.05 * region.texture("grain", 1.0)
    albedo = colour(region.style.asphalt) * tone[:, None]
    dashes = (np.abs(lane) < np.maximum(0.035, share)) & (along - np.floor(along) < 0.55)
    edges = between(np.abs(lane), 0.87, 0.87 + max(0.055, share))
    worn = 0.85 + 0.1 * region.ground("rough", 1.0)
    albedo = mix(albedo, colour(_PAINT), (dashes | edges) * np.clip(worn, 0.5, 1.0))
    return region.lit(albedo, _facing(region))


def _lane_coordinates(region: Region) -> tuple[Array, Array, float]:
    """Position across the road (-1..1) and along it in dashes, and a pixel's share of the width.

    A road whose rows are mostly cut by both borders lies across the picture: its columns are then
    what the rows are to a road ahead.
    """
    geometry = region.geometry
    labels = geometry.labels.reshape(geometry.height, geometry.width)
    mask = labels == classes.ROAD
    hidden = np.isin(labels, classes.UPRIGHT)
    if (mask[:, 0] & mask[:, -1]).sum() > 0.5 * mask.any(axis=1).sum():
        middle, half = _middle_line(mask.T, hidden.T, geometry.height)
        column = region.pixels % geometry.width
        lane = (region.y - middle[column]) / half[column]
        return lane, region.x * 5.0, 0.5 / (float(half.max()) * geometry.height)
    middle, half = _middle_line(mask, hidden, geometry.height)
    row = region.pixels // geometry.width
    lane = (region.x - middle[row]) / half[row]
    return lane, region.distance * 2.2, 0.5 / (float(half.max()) * geometry.height)


def _middle_line(
    mask: NDArray[np.bool_], hidden: NDArray[np.bool_], unit: int
) -> tuple[Array, Array]:
    """Middle and half width of the mask in each row, in units of `unit` pixels.

    A side that the border cuts or that a `hidden` pixel next to it may cover is not seen; it
    follows from the rows where it is.
    """
    height, width = mask.shape
    rows = np.flatnonzero(mask.any(axis=1))
    left = mask[rows].argmax(axis=1)
    right = width - mask[rows, ::-1].argmax(axis=1)
    left_seen = (left > 0) & ~hidden[rows, np.maximum(left - 1, 0)]
    right_seen = (right < width) & ~hidden[rows, np.minimum(right, width - 1)]
    left_side, right_side = _continued(rows, left, left_seen), _continued(rows, right, right_seen)
    middle, half = np.zeros(height, np.float32), np.ones(height, np.float32)
    middle[rows] = (left_side + right_side) / (2.0 * unit)
    half[rows] = np.maximum(right_side - left_side, 2.0) / (2.0 * unit)
    return middle, half


def _continued(
    rows: NDArray[np.intp], side: NDArray[np.intp], seen: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Continue a side of the road where it is not seen: between rows, and straight below them."""
    if seen.sum() < 4:
        return side.astype(np.float64)
    known, values = rows[seen], side[seen]
    count = max(4, known.size // 3)
    slope, start = np.polyfit(known[-count:], values[-count:], 1)
    below = rows > known[-1]
    return np.where(below, slope * rows + start, np.interp(rows, known, values))


def shade_sea(region: Region) -> Array:
    """Paint the body of the water with its crests, shallow and foaming along the sand."""
    style = region.style
    crests = region.ground("wave", 0.7) * style.swell
    albedo = (
        colour(style.water) * (1.25 + 0.3 * crests + 0.12 * region.ground("fractal", 0.2))[:, None]
    )
    near = region.nearness(classes.SAND, 0.06)
    shallow = colour(style.water) * 0.5 + colour(style.sand) * 0.45
    albedo = mix(albedo, shallow, step(near, 0.0, 0.5) * 0.8)
    surf = step(near + 0.07 * region.ground("fractal", 0.8), 0.3, 0.42)
    rocks = step(region.nearness(classes.ROCK, 0.02) + 0.06 * crests, 0.2, 0.4)
    whitecap = step(crests, 2.0, 2.6) * style.swell
    foam = np.clip(0.9 * surf + 0.5 * rocks + 0.5 * whitecap, 0.0, 1.0)
    return region.lit(mix(albedo, colour((0.95, 0.97, 0.97)), foam), 0.75)
