# SPDX-License-Identifier: Apache-2.0
"""Shaders of trees, rocks, persons, cars and boats: their parts follow from the instance's box."""

import numpy as np

from spade_eval.datasets.scenes import classes
from spade_eval.datasets.scenes.materials import Region, between, colour, mix, step
from spade_eval.datasets.scenes.noise import Array
from spade_eval.datasets.scenes.palettes import Colour

_BARK = (0.36, 0.27, 0.20)
_GLASS = (0.14, 0.18, 0.24)
_TYRE = (0.07, 0.07, 0.08)
_SNOW = (0.92, 0.94, 1.0)
_LAMP = (1.0, 0.93, 0.70)

_SKINS = ((0.93, 0.75, 0.62), (0.80, 0.58, 0.44), (0.56, 0.38, 0.28), (0.40, 0.27, 0.20))
_CLOTHES = (
    (0.85, 0.15, 0.18),
    (0.95, 0.75, 0.15),
    (0.92, 0.92, 0.92),
    (0.15, 0.30, 0.70),
    (0.90, 0.45, 0.65),
    (0.10, 0.55, 0.50),
    (0.95, 0.50, 0.12),
)
_TROUSERS = ((0.15, 0.18, 0.32), (0.12, 0.12, 0.14), (0.42, 0.34, 0.26), (0.30, 0.36, 0.48))
_PAINTS = (
    (0.80, 0.10, 0.10),
    (0.88, 0.88, 0.90),
    (0.10, 0.25, 0.60),
    (0.12, 0.13, 0.15),
    (0.95, 0.75, 0.10),
    (0.60, 0.63, 0.66),
    (0.10, 0.45, 0.40),
)
_HULLS = (
    (0.92, 0.92, 0.92),
    (0.70, 0.12, 0.12),
    (0.10, 0.20, 0.45),
    (0.45, 0.28, 0.16),
    (0.10, 0.45, 0.42),
)
_SAILS = (
    (0.97, 0.96, 0.92),
    (0.97, 0.96, 0.92),
    (0.97, 0.93, 0.84),
    (0.90, 0.35, 0.22),
    (0.95, 0.70, 0.30),
)


def shade_tree(region: Region) -> Array:
    """Paint leaf clusters on a ball lit from one side; bark where the silhouette is narrow."""
    style = region.style
    crown = np.minimum(region.v * 1.25, 1.0)
    clusters = 0.45 * region.relief(2.2) + 0.6 * region.texture("blob", 1.7)
    dry = region.shows(classes.SAND)  # where sand lies, palms and cacti stand
    colours = style.evergreen if dry else style.foliage
    leaves: Array = region.pick(colours, 0.03) * (1.0 + 0.16 * clusters)[:, None]
    if style.snow > 0.0 and not dry:
        snow = step(0.5 * clusters + 0.5 * region.relief(2.0) - crown, 0.9 - 1.5 * style.snow, 1.5)
        leaves = mix(leaves, colour(_SNOW), 0.8 * snow)
    trunk = (_row_width(region) < 0.32) & (region.v > 0.4)
    albedo = np.where(trunk[:, None], colour(_BARK), leaves)
    return region.lit(albedo, 0.55 + 0.38 * region.roundness(crown) + 0.14 * clusters)


def _row_width(region: Region) -> Array:
    """Pixels of the instance in the pixel's row, as a share of the width of its box."""
    geometry = region.geometry
    key = region.ids.astype(np.int64) * geometry.height + region.pixels // geometry.width
    count = np.bincount(key)[key].astype(np.float32) / geometry.height
    return count / (region.box[:, 3] - region.box[:, 1])


def shade_rock(region: Region) -> Array:
    """Paint facets, cracks and lichen on grey stone."""
    facets = region.relief(1.8)
    stain = 1.0 + 0.12 * region.texture("rough", 1.4) + 0.05 * region.texture("grain", 1.0)
    albedo = region.pick((region.style.stone,), 0.03) * stain[:, None]
    if region.style.snow > 0.0:
        cap = step(0.45 - region.v + 0.1 * facets, 0.0, 0.15) * min(2.0 * region.style.snow, 0.9)
        albedo = mix(albedo, colour(_SNOW), cap)
    return region.lit(albedo, 0.5 + 0.3 * region.roundness(region.v) + 0.25 * facets)


def shade_person(region: Region) -> Array:
    """Paint hair, face, bright clothes above and dark ones below."""
    skin = region.pick(_SKINS)
    albedo = region.pick(_TROUSERS)
    albedo = np.where((region.v < 0.57)[:, None], region.pick(_CLOTHES), albedo)
    hands = between(region.v, 0.5, 0.6) & (np.abs(region.u - 0.5) > 0.34)
    albedo = np.where((hands | (region.v < 0.195))[:, None], skin, albedo)
    albedo = np.where(
        (region.v < 0.075)[:, None], region.pick(((0.16, 0.11, 0.08), (0.45, 0.32, 0.16))), albedo
    )
    folds = 1.0 + 0.07 * region.texture("rough", 2.5)
    return region.lit(albedo * folds[:, None], 0.62 + 0.3 * _cylinder(region))


def _cylinder(region: Region) -> Array:
    """Light on an upright cylinder that fills the instance's box."""
    return (2.0 * region.u - 1.0) * np.float32(region.light.x)


def shade_car(region: Region) -> Array:
    """Paint, glass, tyres and lamps of a car: its side or, if narrow, its front or back."""
    u, v = region.u, region.v
    long = (region.box[:, 3] - region.box[:, 1]) > 1.7 * (region.box[:, 2] - region.box[:, 0])
    from_end = np.abs(u - 0.5)
    paint = region.pick(_PAINTS) * (1.08 - 0.3 * v)[:, None]
    wheels = np.minimum(np.abs(u - 0.2), np.abs(u - 0.8))
    side_glass = between(v, 0.08, 0.38) & (from_end < 0.15 + 0.4 * v) & (np.abs(u - 0.48) > 0.02)
    end_glass = between(v, 0.09, 0.4) & (from_end < 0.28 + 0.3 * v)
    side_tyre = (v > 0.58) & (wheels < 0.1)
    end_tyre = (v > 0.84) | between(v, 0.66, 0.76) & (from_end < 0.26)
    albedo = np.where(np.where(long, side_glass, end_glass)[:, None], colour(_GLASS) + 0.1, paint)
    albedo = np.where(np.where(long, side_tyre, end_tyre)[:, None], colour(_TYRE), albedo)
    shaded = region.lit(albedo, 0.6 + 0.22 * _cylinder(region) - 0.2 * (v - 0.5))
    lamps = ~long & between(v, 0.5, 0.66) & between(from_end, 0.3, 0.47)
    rear = region.chance() < 0.5
    lamp = np.where(rear[:, None], colour((0.80, 0.10, 0.08)), colour(_LAMP))
    return np.where(lamps[:, None], lamp * (1.0 if region.style.is_night else 0.85), shaded)


def shade_boat(region: Region) -> Array:
    """Paint a bright hull below sails or, on a long low boat, below a white cabin with windows."""
    u, v = region.u, region.v
    motor = (region.box[:, 3] - region.box[:, 1]) > 1.25 * (region.box[:, 2] - region.box[:, 0])
    deck = np.where(motor, 0.55, 0.8)
    sail = (
        region.pick(_SAILS)
        * (1.0 - 0.12 * np.abs(u - 0.5) + 0.03 * region.texture("fractal", 2.0))[:, None]
    )
    panes = motor & between(v, 0.22, 0.42) & (np.sin(u * 44.0) > -0.2)
    cabin = np.where(panes[:, None], colour(_GLASS), colour((0.93, 0.93, 0.91)))
    stripe = between(v - deck, 0.0, 0.06)
    hull = np.where(stripe[:, None], colour((0.95, 0.93, 0.85)), _two_tone(region, _HULLS, deck))
    above = np.where(motor[:, None], cabin, sail)
    return region.lit(np.where((v < deck)[:, None], above, hull), 0.72 + 0.25 * _cylinder(region))


def _two_tone(region: Region, colours: tuple[Colour, ...], deck: Array) -> Array:
    """Paint a hull that darkens towards the water line."""
    low = step((region.v - deck) / (1.0 - deck), 0.4, 1.0)
    return region.pick(colours) * (1.0 - 0.45 * low)[:, None]
