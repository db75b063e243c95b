# SPDX-License-Identifier: Apache-2.0
"""The photo of a scene: label map, instance map and style in, RGB out.

Each class has a shader, which paints its pixels in one go; then come haze by distance
(exponential extinction, Koschmieder 1924), the mirror of the water, and the camera.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from spade_eval.datasets.scenes import classes, noise
from spade_eval.datasets.scenes.geometry import Geometry, cast_shadows, read_geometry
from spade_eval.datasets.scenes.materials import Light, Region, colour, mix
from spade_eval.datasets.scenes.noise import Array
from spade_eval.datasets.scenes.shade_air import shade_cloud, shade_mountain, shade_sky, shade_sun
from spade_eval.datasets.scenes.shade_facades import shade_building
from spade_eval.datasets.scenes.shade_ground import (
    shade_field,
    shade_grass,
    shade_pavement,
    shade_road,
    shade_sand,
    shade_sea,
)
from spade_eval.datasets.scenes.shade_things import (
    shade_boat,
    shade_car,
    shade_person,
    shade_rock,
    shade_tree,
)
from spade_eval.datasets.scenes.style import Style
from spade_eval.datasets.scenes.water import reflect

# In order of painting: the sea comes last, for it mirrors what is painted already.
SHADERS: dict[int, Callable[[Region], Array]] = {
    classes.SKY: shade_sky,
    classes.SUN: shade_sun,
    classes.CLOUD: shade_cloud,
    classes.MOUNTAIN: shade_mountain,
    classes.SAND: shade_sand,
    classes.GRASS: shade_grass,
    classes.FIELD: shade_field,
    classes.ROAD: shade_road,
    classes.PAVEMENT: shade_pavement,
    classes.BUILDING: shade_building,
    classes.TREE: shade_tree,
    classes.ROCK: shade_rock,
    classes.PERSON: shade_person,
    classes.CAR: shade_car,
    classes.BOAT: shade_boat,
    classes.SEA: shade_sea,
}

_WITHOUT_HAZE = (classes.SKY, classes.SUN, classes.CLOUD)
_SHADOW_DEPTH = 0.8  # share of the sunlight that a full shadow takes
_BLUR = 0.09  # weight of either neighbour in the lens blur


def render(
    label_map: NDArray[np.uint8],
    instance_map: NDArray[np.int32],
    style: Style,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Render a (H, W, 3) RGB photo of a (H, W) label map and instance map in a style.

    An instance id (non-negative, below 2**16) belongs to one class. `rng` draws what differs
    between instances and pixels: paint, texture offsets, the sensor's noise.
    """
    geometry = read_geometry(label_map, instance_map)
    light = _light(geometry, style)
    image = np.zeros((label_map.size, 3), dtype=np.float32)
    for label, shader in SHADERS.items():
        pixels = geometry.pixels_of(label)
        if pixels.size == 0:
            continue
        region = Region(geometry, pixels, style, light, rng)
        shaded = shader(region)
        if label == classes.SEA:
            shaded = reflect(region, shaded, image)
        image[pixels] = shaded if label in _WITHOUT_HAZE else _hazed(region, shaded)
    return _photograph(image.reshape(*label_map.shape, 3), style, rng)


def _light(geometry: Geometry, style: Style) -> Light:
    """Sunlight from the sun in the maps or, if they show none, from the side of the style."""
    horizon, aspect = geometry.horizon, geometry.aspect
    if geometry.sun is not None:
        sun, behind = geometry.sun, True
        side = float(np.clip(2.2 * (sun[0] / aspect - 0.5), -1.0, 1.0))
    else:
        side, behind = style.light_side, False
        sun = (aspect * (0.5 + 0.75 * side), horizon - 0.15 - 0.9 * style.elevation)
    shadows = cast_shadows(geometry, side, style.elevation, behind)
    is_ground = np.isin(geometry.labels, classes.GROUND)
    lit = 1.0 - _SHADOW_DEPTH * shadows.ravel() * is_ground
    return Light(x=side, y=-0.35 - 0.5 * style.elevation, behind=behind, sun=sun, open=lit)


def _hazed(region: Region, shaded: Array) -> Array:
    """Colours after the air between: they tend to the rim of the sky."""
    air = 0.85 * colour(region.style.rim) + 0.15 * colour(region.style.zenith)
    return mix(shaded, air, 1.0 - np.exp(-region.style.haze * region.distance))


def _photograph(image: Array, style: Style, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Lens blur, highlights that roll off, sensor noise, eight bits."""
    for axis in (0, 1):
        blurred = image * np.float32(1.0 - 2.0 * _BLUR)
        before, after = _shifted(image, axis)
        image = blurred + np.float32(_BLUR) * (before + after)
    bright = np.maximum(image - np.float32(0.78), 0.0)
    image = np.minimum(image, np.float32(0.78)) + bright / (1.0 + 2.2 * bright)
    top, left = rng.integers(noise.TILE, size=2)
    speckle = noise.window("grain", int(top), int(left), image.shape[:2]) * np.float32(style.noise)
    image = (image + speckle[..., None]) * np.float32(255.0) + np.float32(0.5)
    return np.clip(image, 0.0, 255.0).astype(np.uint8)


def _shifted(image: Array, axis: int) -> tuple[Array, Array]:
    """Move the picture by a pixel either way along an axis; the border repeats."""
    size = image.shape[axis]
    steps = np.arange(size)
    before = image.take(np.maximum(steps - 1, 0), axis=axis)
    after = image.take(np.minimum(steps + 1, size - 1), axis=axis)
    return before, after
