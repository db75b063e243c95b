# SPDX-License-Identifier: Apache-2.0
"""What a shader gets to paint one class with: its pixels, the light, the style and noise."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spade_eval.datasets.scenes import noise
from spade_eval.datasets.scenes.geometry import Geometry, Indices, soft
from spade_eval.datasets.scenes.noise import Array
from spade_eval.datasets.scenes.palettes import Colour
from spade_eval.datasets.scenes.style import Style


@dataclass(frozen=True, kw_only=True)
class Light:
    """Sunlight: `x`, `y` point to the sun in the picture plane, `behind` says that we face it."""

    x: float
    y: float
    behind: bool
    sun: tuple[float, float]  # where the sun stands or would stand, in image coordinates
    open: Array  # (pixels,) share of the sunlight that reaches each pixel


@dataclass(frozen=True)
class Region:
    """The pixels of one class; every array has one entry (or row) per pixel."""

    geometry: Geometry
    pixels: Indices
    style: Style
    light: Light
    rng: np.random.Generator

    @cached_property
    def x(self) -> Array:
        return self.geometry.x[self.pixels]

    @cached_property
    def y(self) -> Array:
        return self.geometry.y[self.pixels]

    @cached_property
    def distance(self) -> Array:
        return self.geometry.distance[self.pixels]

    @cached_property
    def ids(self) -> NDArray[np.int32]:
        return self.geometry.ids[self.pixels]

    @cached_property
    def box(self) -> Array:
        return self.geometry.boxes[self.ids]

    @cached_property
    def u(self) -> Array:
        """Position in the box of the instance, 0 at its left, 1 at its right."""
        return (self.x - self.box[:, 1]) / (self.box[:, 3] - self.box[:, 1])

    @cached_property
    def v(self) -> Array:
        """Position in the box of the instance, 0 at its top, 1 at its foot."""
        return (self.y - self.box[:, 0]) / (self.box[:, 2] - self.box[:, 0])

    @cached_property
    def across(self) -> Array:
        """Sideways position on the ground plane, 0 in the middle of the picture."""
        return (self.x - 0.5 * self.geometry.aspect) * self.distance

    @cached_property
    def fade(self) -> Array:
        """Contrast that a texture keeps at a distance, where pixels average it."""
        return 1.0 / (1.0 + 0.12 * self.distance)

    def texture(self, kind: str, scale: float, stretch: float = 1.0) -> Array:
        """Return noise in the picture plane, `scale` tiles per image height."""
        u, v = self.rng.random(2, dtype=np.float32)
        return noise.sample(
            kind, self.x * np.float32(scale) + u, self.y * np.float32(scale * stretch) + v
        )

    def ground(self, kind: str, scale: float, stretch: float = 1.0) -> Array:
        """Return noise on the ground plane, `scale` tiles per unit, less of it at a distance."""
        u, v = self.rng.random(2, dtype=np.float32)
        x, z = self.across * np.float32(scale) + u, self.distance * np.float32(scale * stretch) + v
        return noise.sample(kind, x, z) * self.fade

    def relief(self, scale: float) -> Array:
        """Light on a rough surface: the slope of a height field towards the sun."""
        u, v = self.rng.random(2, dtype=np.float32)
        x, y = self.x * np.float32(scale) + u, self.y * np.float32(scale) + v
        lit = noise.sample("slope_x", x, y) * np.float32(self.light.x)
        return lit + noise.sample("slope_y", x, y) * np.float32(self.light.y)

    def roundness(self, v: Array) -> Array:
        """Light on a ball that fills the box of the instance, about -1..1; `v` as its height."""
        return (2.0 * self.u - 1.0) * np.float32(self.light.x) + (2.0 * v - 1.0) * np.float32(
            self.light.y
        )

    def shows(self, label: int) -> bool:
        """Return whether the picture has pixels of a class."""
        return bool((self.geometry.labels == label).any())

    def nearness(self, label: int, reach: float) -> Array:
        """Return 0 far from the pixels of a class, about 0.5 at their border, 1 well inside."""
        mask = self.geometry.image((self.geometry.labels == label).astype(np.float32))
        width = max(3, int(2.0 * reach * self.geometry.height))
        return soft(mask, width).ravel()[self.pixels]

    def pick(self, colours: tuple[Colour, ...], vary: float = 0.05) -> Array:
        """Draw a colour for each instance from a palette, varied: (pixels, 3)."""
        count = len(self.geometry.boxes)
        chosen = self.rng.integers(len(colours), size=count)
        table: Array = np.asarray(colours, dtype=np.float32)[chosen]
        table = table * self.rng.uniform(1.0 - 2 * vary, 1.0 + 2 * vary, (count, 1))
        table = table + self.rng.uniform(-vary, vary, (count, 3))
        return table.astype(np.float32)[self.ids]

    def chance(self) -> Array:
        """Draw a number in 0..1 for each instance."""
        return self.rng.random(len(self.geometry.boxes), dtype=np.float32)[self.ids]

    def lit(self, albedo: Array, facing: Array | float) -> Array:
        """Light `albedo` (pixels, 3) by ambient and direct light; `facing` scales the latter."""
        return self.lit_at(slice(None), albedo, facing)

    def lit_at(self, part: NDArray[np.intp] | slice, albedo: Array, facing: Array | float) -> Array:
        """Light the pixels of the region that `part` selects, as `lit` does."""
        direct = np.maximum(facing * self.light.open[self.pixels[part]], 0.0).astype(np.float32)
        light = colour(self.style.ambient) + direct[:, None] * colour(self.style.sunlight)
        return albedo * light


def colour(rgb: Colour) -> Array:
    return np.asarray(rgb, dtype=np.float32)


def mix(first: Array, second: Array, weight: Array) -> Array:
    """Mix colours `first` (weight 0) and `second` (weight 1), one weight per pixel."""
    return first + (second - first) * weight[:, None]


def step(value: Array, low: float, high: float) -> Array:
    """Return a ramp from 0 at `low` to 1 at `high`."""
    return np.clip((value - np.float32(low)) * np.float32(1.0 / (high - low)), 0.0, 1.0)


def between(value: Array, low: float, high: float) -> NDArray[np.bool_]:
    return (value > low) & (value < high)
