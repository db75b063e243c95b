# SPDX-License-Identifier: Apache-2.0
"""Shaders of what is far away: sky, clouds, the sun's disc and mountains."""

import numpy as np

from spade_eval.datasets.scenes import classes
from spade_eval.datasets.scenes.materials import Region, colour, mix, step
from spade_eval.datasets.scenes.noise import Array

_SNOW = (0.93, 0.95, 1.0)


def shade_sky(region: Region) -> Array:
    """Paint a gradient from the zenith to the rim, the glow around the sun, stars at night."""
    style, (sun_x, sun_y) = region.style, region.light.sun
    height = np.clip(region.y / max(region.geometry.horizon, 0.2), 0.0, 1.0)
    sky = mix(colour(style.zenith), colour(style.rim), height**1.4)
    sky *= (1.0 + (0.012 + 0.03 * style.grey) * region.texture("fractal", 0.7, 2.0))[:, None]
    reach = np.hypot(region.x - np.float32(sun_x), region.y - np.float32(sun_y))
    glow = (0.42 * np.exp(-5.0 * reach) + 0.3 * np.exp(-22.0 * reach)) * (1.0 - 0.8 * style.grey)
    if style.is_night:
        stars = region.texture("grain", 1.0) > 3.1
        return sky + (0.5 * glow + 0.5 * stars)[:, None] * colour(style.disc)
    return mix(sky, colour(style.disc), glow)


def shade_sun(region: Region) -> Array:
    """Paint a bright disc that darkens slightly to its limb; it is the moon at night."""
    radius = np.hypot(2.0 * region.u - 1.0, 2.0 * region.v - 1.0)
    disc = colour(region.style.disc) * (1.08 - 0.1 * radius**2)[:, None]
    if region.style.is_night:
        disc *= (0.93 + 0.06 * region.texture("fractal", 5.0))[:, None]
    return disc


def shade_cloud(region: Region) -> Array:
    """Paint billows: bright towards the light and at the top, grey at the base."""
    style = region.style
    bright: Array = np.minimum(colour(style.ambient) * 1.15 + colour(style.sunlight) * 0.9, 1.04)
    dark: Array = 0.45 * bright + 0.3 * colour(style.rim) + 0.08
    if style.is_night:
        bright, dark = colour((0.36, 0.40, 0.52)), colour((0.20, 0.23, 0.34))
    billows = 0.12 * region.texture("fractal", 1.6) + 0.05 * region.texture("fractal", 3.5)
    weight = 0.78 - 0.62 * step(region.v, 0.25, 1.0) + 0.12 * region.roundness(region.v) + billows
    body = mix(dark, bright, np.clip(weight, 0.0, 1.0))
    thin = 0.5 * (1.0 - step(region.nearness(classes.CLOUD, 0.02), 0.4, 0.8))
    return mix(body, shade_sky(region), thin)


def shade_mountain(region: Region) -> Array:
    """Paint bare rock under snow and above woods, lit on the slopes that face the sun."""
    style = region.style
    height = 1.0 - region.v
    patches = region.texture("fractal", 1.6)
    relief = region.relief(0.65)
    desert = region.shows(classes.SAND) and not region.shows(classes.SEA)
    desert |= style.range[0] > 1.3 * style.range[2]  # on red rock, too, nothing grows
    woods = step(0.42 - height + 0.13 * patches, 0.0, 0.14) * (0.0 if desert else 0.85)
    rock = region.pick((style.range,), 0.025) * (1.0 + 0.1 * patches)[:, None]
    dark_wood = colour(style.grass) * 0.62
    albedo = mix(rock, dark_wood * (1.0 + 0.1 * region.texture("blob", 3.0))[:, None], woods)
    snow_line = style.snow_line + (0.6 if desert else 0.0)
    snow = step(height - snow_line + 0.1 * patches + 0.05 * relief, 0.0, 0.07)
    albedo = mix(albedo, colour(_SNOW), snow)
    return region.lit(albedo, 0.55 + 0.32 * relief)
