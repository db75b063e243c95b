# SPDX-License-Identifier: Apache-2.0
"""The parts that places are made of: the sky with its clouds, ridges, ground, ways and props.

Every function draws all its random numbers before it looks at the canvas: what is rejected for want
of ground below it is not painted, but the stream of random numbers stays that of every other size.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spade_eval.datasets.scenes import classes, shapes
from spade_eval.datasets.scenes.canvas import Canvas, Points
from spade_eval.datasets.scenes.shapes import Parts, Silhouette

Curve = NDArray[np.float64]
_COLUMNS = 97  # corners of a ridge or shore line; more cannot be told apart at 512 pixels


@dataclass
class Ground:
    """A ground plane under a canvas, and the objects that wait to be painted on it by depth."""

    canvas: Canvas
    rng: np.random.Generator
    horizon: float
    _props: list[tuple[float, int, Parts]] = field(default_factory=list)

    def scale(self, y: float) -> float:
        """Return the size of an object whose foot is at height y, relative to the lower border."""
        return max(y - self.horizon, 0.0) / (1.0 - self.horizon)

    def add(
        self,
        label: int,
        silhouette: Silhouette,
        at: tuple[float, float],
        height: float,
        on: Sequence[int] = classes.GROUND,
    ) -> None:
        """Stand an object of an absolute height at (x, y) if the class there is one of `on`."""
        parts = silhouette(self.rng)
        flip = 1.0 if self.rng.random() < 0.5 else -1.0
        if self.canvas.label_at(*at) in on:
            placed = [part * (flip * height, -height) + at for part in parts]
            self._props.append((at[1], label, placed))

    def scatter(
        self,
        label: int,
        silhouettes: Sequence[Silhouette],
        count: int,
        *,
        height: float,
        rows: tuple[float, float],
        columns: tuple[float, float] = (0.0, 1.0),
        on: Sequence[int] = classes.GROUND,
        smallest: float = 0.0,
    ) -> None:
        """Stand up to `count` objects of the same kind about, in perspective.

        `height` is that of an object at the lower border, `rows` and `columns` are fractions of the
        ground's depth and of the picture's width; the objects share the columns evenly.
        """
        strata = self.rng.permutation(count)
        for stratum in strata:
            u = columns[0] + (columns[1] - columns[0]) * (stratum + self.rng.random()) / count
            v = self.rng.uniform(*rows)
            size = height * self.rng.uniform(0.85, 1.15)
            kind = silhouettes[int(self.rng.integers(len(silhouettes)))]
            y = self.horizon + v * (1.0 - self.horizon)
            at = (u * self.canvas.aspect, y)
            self.add(label, kind, at, max(size * self.scale(y), smallest), on)

    def paint(self) -> None:
        """Paint the waiting objects, far ones first."""
        for _, label, parts in sorted(self._props, key=lambda prop: prop[0]):
            self.canvas.thing(label, parts)
        self._props.clear()


def columns_of(canvas: Canvas) -> Curve:
    return np.linspace(-0.02, canvas.aspect + 0.02, _COLUMNS)


def rolling(rng: np.random.Generator, x: Curve, frequency: float) -> Curve:
    """Return a smooth line of mean 0 and about unit range."""
    phase = rng.uniform(0.0, 2.0 * np.pi, 3)
    line = np.sin(2 * np.pi * frequency * x + phase[0])
    line += 0.45 * np.sin(2 * np.pi * 2.3 * frequency * x + phase[1])
    return (line + 0.15 * np.sin(2 * np.pi * 5.1 * frequency * x + phase[2])) / 1.6


def jagged(rng: np.random.Generator, x: Curve, frequency: float) -> Curve:
    """Return peaks and gaps in 0..1: triangle waves, each finer and lower than the last."""
    line = np.zeros_like(x)
    for octave, weight in enumerate((0.55, 0.28, 0.12, 0.06, 0.03)):
        stretch, phase = rng.uniform(0.8, 1.25), rng.random()
        saw = (frequency * stretch * 2.1**octave * x + phase) % 1.0
        line += weight * (1.0 - np.abs(2.0 * saw - 1.0))
    return line


def mesas(rng: np.random.Generator, x: Curve, frequency: float) -> Curve:
    """Return table mountains: a jagged line cut off at the top and steepened at the sides."""
    height = np.clip((jagged(rng, x, frequency) - 0.42) * 5.0, 0.0, 1.0)
    return height * (0.85 + 0.15 * rng.random()) + 0.04 * jagged(rng, x, 6.0)


def line(x: Curve, y: Curve | float) -> Points:
    return np.stack(np.broadcast_arrays(x, y), axis=1)


def sky(canvas: Canvas, rng: np.random.Generator, horizon: float) -> None:
    """Draw the sun, with even chance, and up to five clouds, the high ones large."""
    shows, u, v = rng.random() < 0.55, rng.uniform(0.08, 0.92), rng.random()
    radius = rng.uniform(0.04, 0.065)
    if shows:
        y = 0.09 + v * max(horizon - 0.2, 0.02)
        canvas.thing(classes.SUN, [shapes.ellipse(u * canvas.aspect, y, radius, radius)])
    count = int(rng.choice([0, 1, 2, 3, 5], p=[0.25, 0.2, 0.25, 0.2, 0.1]))
    for height in np.sort(rng.uniform(0.08, 0.85, count))[::-1]:
        size = (0.26 - 0.18 * height) * rng.uniform(0.7, 1.3)
        at = (rng.uniform(0.0, canvas.aspect), height * horizon + 0.03)
        parts = shapes.cloud(rng)
        canvas.thing(classes.CLOUD, [part * (size, -0.9 * size) + at for part in parts])


def mountains(
    canvas: Canvas, rng: np.random.Generator, horizon: float, ridges: int, height: float
) -> None:
    """Draw mountain ridges, one behind the other, the last with its foot below the horizon."""
    x = columns_of(canvas)
    for ridge in range(ridges):
        far = (ridges - 1 - ridge) / max(ridges, 1)
        foot = horizon - 0.35 * height * far
        rise = height * (1.0 - 0.25 * far) * rng.uniform(0.8, 1.1)
        top = foot - rise * (0.12 + 0.88 * jagged(rng, x, rng.uniform(0.7, 1.5)))
        canvas.band(classes.MOUNTAIN, line(x, top), instance=True)


def headland(canvas: Canvas, rng: np.random.Generator, horizon: float) -> None:
    """Draw a distant range that falls to the horizon towards one side: an island or a cape."""
    x = columns_of(canvas)
    centre, half = rng.uniform(-0.1, 1.1) * canvas.aspect, rng.uniform(0.3, 0.7)
    fall = np.clip(1.0 - np.abs(x - centre) / half, 0.0, 1.0)
    rise = rng.uniform(0.1, 0.22) * fall * (0.5 + 0.6 * jagged(rng, x, 2.0))
    canvas.band(classes.MOUNTAIN, line(x, horizon + 0.01 - rise), instance=True)


def way(
    canvas: Canvas,
    label: int,
    *,
    vanishing: tuple[float, float],
    foot: float,
    half_width: float,
    bend: float = 0.0,
    offset: float = 0.0,
) -> None:
    """Draw a road or pavement that runs from the lower border to its vanishing point.

    `foot` is its centre at the lower border, `offset` moves it sideways on the ground plane and
    `bend` swings it as a cosine of depth; widths shrink as 1 / depth, hence linearly with y.
    """
    t = np.linspace(0.0, 1.08, 40)  # 0 at the vanishing point, 1 at the lower border
    y = vanishing[1] + t * (1.0 - vanishing[1])
    swing = bend * np.sin(np.pi * np.minimum(t, 1.0)) * (1.0 - t)
    centre = vanishing[0] + t * (foot - vanishing[0]) + swing + offset * t
    half = half_width * t + 0.004
    left, right = line(centre - half, y), line(centre + half, y)
    canvas.stuff(label, np.concatenate([left, right[::-1]]))
