# SPDX-License-Identifier: Apache-2.0
"""Silhouettes of objects: unions of polygons in object coordinates.

Convention: the foot of an object is at (0, 0), y points up, and the height is 1 unless said
otherwise. Every silhouette draws its own proportions from `rng`; the number of draws of one kind
depends on `rng` alone, never on the size of the picture.
"""

from collections.abc import Callable

import numpy as np

from spade_eval.datasets.scenes.canvas import Points

Parts = list[Points]
Silhouette = Callable[[np.random.Generator], Parts]

_ANGLES = np.linspace(0.0, 2.0 * np.pi, 16, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)


def ellipse(x: float, y: float, rx: float, ry: float) -> Points:
    """Draw a 16-gon around (x, y)."""
    return _CIRCLE * (rx, ry) + (x, y)


def polygon(*corners: tuple[float, float]) -> Points:
    return np.array(corners)


def box(x0: float, y0: float, x1: float, y1: float) -> Points:
    return polygon((x0, y0), (x1, y0), (x1, y1), (x0, y1))


def bumpy(rng: np.random.Generator, x: float, y: float, rx: float, ry: float) -> Points:
    """Draw a closed outline with lobes, as of foliage."""
    phase = rng.uniform(0.0, 2.0 * np.pi, 3)
    radius = 1.0 + 0.09 * np.cos(3 * _FINE + phase[0]) + 0.08 * np.cos(5 * _FINE + phase[1])
    radius += 0.06 * np.cos(9 * _FINE + phase[2])
    return np.stack([x + rx * radius * np.cos(_FINE), y + ry * radius * np.sin(_FINE)], axis=1)


_FINE = np.linspace(0.0, 2.0 * np.pi, 40, endpoint=False)


def broadleaf(rng: np.random.Generator) -> Parts:
    """Draw a trunk below a crown of three lobes."""
    width = rng.uniform(0.28, 0.4)
    lean = rng.uniform(-0.08, 0.08)
    trunk = polygon((-0.05, 0.0), (0.05, 0.0), (0.035 + lean, 0.5), (-0.035 + lean, 0.5))
    return [
        trunk,
        bumpy(rng, lean - 0.5 * width, 0.52, 0.62 * width, 0.2),
        bumpy(rng, lean + 0.5 * width, 0.56, 0.62 * width, 0.2),
        bumpy(rng, lean, 0.69, 0.8 * width, 0.27),
    ]


def conifer(rng: np.random.Generator) -> Parts:
    """Draw a trunk below four skirts of branches."""
    width = rng.uniform(0.2, 0.28)
    parts = [box(-0.035, 0.0, 0.035, 0.2)]
    for level in range(4):
        low, half = 0.12 + 0.19 * level, width * (1.0 - 0.2 * level)
        tip = low + 0.4 - 0.025 * level
        droop = rng.uniform(0.01, 0.04)
        parts.append(
            polygon((-half, low - droop), (0.0, low + 0.05), (half, low - droop), (0, tip))
        )
    return parts


def palm(rng: np.random.Generator) -> Parts:
    """Draw a bent trunk with seven hanging fronds."""
    bend = rng.uniform(-0.2, 0.2)
    crown = np.array([bend, 0.74])
    parts = [
        polygon(
            (-0.045, 0.0),
            (0.045, 0.0),
            (0.4 * bend + 0.03, 0.4),
            (bend + 0.025, 0.76),
            (bend - 0.025, 0.76),
            (0.4 * bend - 0.035, 0.4),
        )
    ]
    for angle in np.linspace(-0.5, np.pi + 0.5, 7) + rng.uniform(-0.12, 0.12, 7):
        out = np.array([np.cos(angle), 0.75 * np.sin(angle)])
        side = np.array([-out[1], out[0]]) * 0.075
        tip = crown + 0.34 * out + (0.0, -0.1)
        middle = crown + 0.19 * out + (0.0, 0.03)
        parts.append(np.stack([crown - side * 0.4, middle - side, tip, middle + side]))
    return parts


def cactus(rng: np.random.Generator) -> Parts:
    """Draw a column with two raised arms."""
    left, right = rng.uniform(0.3, 0.55, 2)
    return [
        box(-0.075, 0.0, 0.075, 0.94),
        ellipse(0.0, 0.93, 0.075, 0.07),
        box(-0.27, left - 0.06, 0.0, left + 0.06),
        box(-0.27, left, -0.16, left + 0.3),
        box(0.0, right - 0.06, 0.27, right + 0.06),
        box(0.16, right, 0.27, right + 0.26),
    ]


def person(rng: np.random.Generator) -> Parts:
    """Draw a standing or walking figure."""
    stride = rng.uniform(0.04, 0.14)
    arm = rng.uniform(0.15, 0.2)
    return [
        ellipse(0.0, 0.9, 0.085, 0.1),
        polygon((-0.14, 0.8), (0.14, 0.8), (0.12, 0.42), (-0.12, 0.42)),
        polygon((-0.13, 0.8), (-0.05, 0.8), (-arm + 0.04, 0.42), (-arm - 0.03, 0.42)),
        polygon((0.13, 0.8), (0.05, 0.8), (arm - 0.04, 0.42), (arm + 0.03, 0.42)),
        polygon((-0.12, 0.45), (0.03, 0.45), (-stride + 0.05, 0.0), (-stride - 0.06, 0.0)),
        polygon((-0.03, 0.45), (0.12, 0.45), (stride + 0.06, 0.0), (stride - 0.05, 0.0)),
    ]


def car_side(rng: np.random.Generator) -> Parts:
    """Draw a car seen from the side; it is 2.5 times as long as high."""
    back = rng.uniform(0.75, 1.15)
    return [
        polygon((-1.25, 0.2), (1.25, 0.2), (1.25, 0.52), (0.75, 0.62), (-1.25, 0.64)),
        polygon((-back, 0.6), (0.8, 0.6), (0.4, 1.0), (-0.8 * back, 1.0)),
        ellipse(-0.75, 0.22, 0.25, 0.22),
        ellipse(0.75, 0.22, 0.25, 0.22),
    ]


def car_front(rng: np.random.Generator) -> Parts:
    """Draw a car seen from the front or the back."""
    half = rng.uniform(0.58, 0.68)
    roof = half * rng.uniform(0.68, 0.8)
    return [
        polygon(
            (-half, 0.14),
            (half, 0.14),
            (half, 0.52),
            (0.93 * half, 0.6),
            (-0.93 * half, 0.6),
            (-half, 0.52),
        ),
        polygon((-0.93 * half, 0.58), (0.93 * half, 0.58), (roof, 0.96), (0.0, 1.0), (-roof, 0.96)),
        box(-half, 0.0, -0.68 * half, 0.2),
        box(0.68 * half, 0.0, half, 0.2),
    ]


def sailing_boat(rng: np.random.Generator) -> Parts:
    """Draw a hull below a main sail and a jib."""
    side = rng.choice([-1.0, 1.0])
    reach = rng.uniform(0.3, 0.42)
    parts = [
        polygon((-0.42, 0.2), (0.44, 0.22), (0.3, 0.0), (-0.32, 0.0)),
        box(-0.03, 0.1, 0.03, 0.98),
        polygon((0.0, 1.0), (0.0, 0.26), (reach, 0.26)),
        polygon((-0.02, 0.86), (-0.02, 0.26), (-0.34, 0.26)),
    ]
    return [part * (side, 1.0) for part in parts]


def motor_boat(rng: np.random.Generator) -> Parts:
    """Draw a hull with a cabin; it is 2.2 times as long as high, and 0.6 high."""
    side = rng.choice([-1.0, 1.0])
    cabin = rng.uniform(0.2, 0.45)
    parts = [
        polygon((-1.05, 0.46), (1.15, 0.54), (0.8, 0.0), (-0.95, 0.0)),
        polygon((-0.6, 0.4), (cabin + 0.2, 0.4), (cabin, 0.86), (-0.5, 0.86)),
        box(-0.22, 0.8, -0.08, 1.0),
    ]
    return [part * (0.6 * side, 0.6) for part in parts]


def rock(rng: np.random.Generator) -> Parts:
    """Draw a boulder with a flat foot and a broken outline."""
    angle = np.linspace(0.0, np.pi, 9)
    radius = rng.uniform(0.78, 1.08, 9)
    wide = rng.uniform(0.7, 1.1)
    return [np.stack([wide * radius * np.cos(angle), radius * np.sin(angle)], axis=1)]


def house(rng: np.random.Generator) -> Parts:
    """Draw a detached house with a gabled roof and a chimney."""
    half = rng.uniform(0.5, 0.85)
    eaves = rng.uniform(0.52, 0.64)
    chimney = rng.uniform(-0.5, 0.3) * half
    ridge = rng.uniform(0.2, 0.75) * half
    return [
        box(-half, 0.0, half, eaves),
        polygon((-1.1 * half, eaves), (1.1 * half, eaves), (ridge, 0.95), (-ridge, 0.95)),
        box(chimney, 0.7, chimney + 0.12, 1.0),
    ]


def tower_block(rng: np.random.Generator) -> Parts:
    """Draw a flat-roofed building, at times with a set-back storey."""
    half = rng.uniform(0.2, 0.5)
    top = rng.uniform(0.8, 0.97) if rng.random() < 0.5 else 1.0
    inner = rng.uniform(0.4, 0.8) * half
    return [box(-half, 0.0, half, top), box(-inner, top - 0.1, inner, 1.0)]


def cloud(rng: np.random.Generator) -> Parts:
    """Draw a heap of puffs on a flat base, 2 wide and about 0.7 high, foot at its base."""
    count = int(rng.integers(4, 7))
    centres = np.linspace(-0.75, 0.75, count) + rng.uniform(-0.08, 0.08, count)
    puffs = rng.uniform(0.2, 0.34, count) * (1.25 - 0.6 * np.abs(centres))
    parts = [ellipse(x, 0.55 * r, 1.15 * r, r) for x, r in zip(centres, puffs, strict=True)]
    return [*parts, ellipse(0.0, 0.1, 0.95, 0.13)]


BOATS: tuple[Silhouette, ...] = (sailing_boat, sailing_boat, motor_boat)
WOODS: tuple[Silhouette, ...] = (broadleaf, broadleaf, conifer)
