# SPDX-License-Identifier: Apache-2.0
"""Places that people built: country road, city street, harbour.

Each is painted from the sky down to the foreground.
"""

import numpy as np

from spade_eval.datasets.scenes import shapes, terrain
from spade_eval.datasets.scenes.canvas import Canvas, Points
from spade_eval.datasets.scenes.classes import (
    BOAT,
    BUILDING,
    CAR,
    FIELD,
    GRASS,
    PAVEMENT,
    PERSON,
    ROAD,
    SEA,
    TREE,
)
from spade_eval.datasets.scenes.shapes import BOATS, WOODS
from spade_eval.datasets.scenes.terrain import Ground, columns_of, line, rolling


def countryside(canvas: Canvas, rng: np.random.Generator) -> None:
    """Draw a road between fields, with cars, farmhouses and rows of trees."""
    ground = Ground(canvas, rng, rng.uniform(0.4, 0.5))
    terrain.sky(canvas, rng, ground.horizon)
    if rng.random() < 0.5:
        terrain.mountains(
            canvas, rng, ground.horizon, int(rng.integers(1, 3)), rng.uniform(0.12, 0.22)
        )
    x = columns_of(canvas)
    canvas.band(GRASS, line(x, ground.horizon + 0.008 * rolling(rng, x, 1.0)))
    vanishing = (rng.uniform(0.25, 0.75) * canvas.aspect, ground.horizon)
    foot, half = rng.uniform(0.25, 0.75) * canvas.aspect, rng.uniform(0.24, 0.36)
    bend = rng.uniform(-0.35, 0.35)
    for side in (-1.0, 1.0):
        cropped, verge, wide = rng.random() < 0.75, rng.uniform(0.1, 0.3), rng.uniform(0.8, 2.5)
        offset = side * (half + verge + wide)
        if cropped:
            terrain.way(
                canvas,
                FIELD,
                vanishing=vanishing,
                foot=foot,
                half_width=wide,
                bend=bend,
                offset=offset,
            )
    terrain.way(canvas, ROAD, vanishing=vanishing, foot=foot, half_width=half, bend=bend)
    ground.scatter(
        TREE,
        WOODS,
        int(rng.integers(3, 10)),
        height=1.0,
        rows=(0.03, 0.6),
        on=(GRASS,),
        smallest=0.1,
    )
    ground.scatter(
        BUILDING,
        (shapes.house,),
        int(rng.integers(0, 3)),
        height=0.8,
        rows=(0.1, 0.4),
        on=(GRASS, FIELD),
        smallest=0.14,
    )
    ground.scatter(
        CAR,
        (shapes.car_front,),
        int(rng.integers(1, 5)),
        height=0.36,
        rows=(0.15, 0.85),
        columns=(0.2, 0.8),
        on=(ROAD,),
        smallest=0.08,
    )
    ground.scatter(
        PERSON,
        (shapes.person,),
        int(rng.integers(0, 3)),
        height=0.42,
        rows=(0.4, 0.9),
        on=(GRASS,),
        smallest=0.15,
    )
    ground.paint()


def street(canvas: Canvas, rng: np.random.Generator) -> None:
    """Draw a street that runs into the picture between two rows of facades."""
    horizon = rng.uniform(0.42, 0.54)
    ground = Ground(canvas, rng, horizon)
    terrain.sky(canvas, rng, horizon)
    x = columns_of(canvas)
    vanishing = (rng.uniform(0.35, 0.65) * canvas.aspect, horizon)
    _skyline(canvas, rng, horizon)
    canvas.band(PAVEMENT, line(x, horizon + 0.005))
    foot, half = vanishing[0] + rng.uniform(-0.1, 0.1), rng.uniform(0.4, 0.55)
    terrain.way(canvas, ROAD, vanishing=vanishing, foot=foot, half_width=half)
    walk = rng.uniform(0.25, 0.45)
    for side in (-1.0, 1.0):
        _facades(canvas, rng, vanishing, foot + side * (half + walk), side)
    ground.scatter(
        TREE,
        (shapes.broadleaf,),
        int(rng.integers(0, 6)),
        height=0.9,
        rows=(0.1, 0.6),
        on=(PAVEMENT,),
        smallest=0.1,
    )
    ground.scatter(
        CAR,
        (shapes.car_front,),
        int(rng.integers(1, 6)),
        height=0.4,
        rows=(0.12, 0.9),
        columns=(0.15, 0.85),
        on=(ROAD,),
        smallest=0.08,
    )
    ground.scatter(
        PERSON,
        (shapes.person,),
        int(rng.integers(2, 8)),
        height=0.46,
        rows=(0.15, 0.9),
        on=(PAVEMENT, ROAD),
        smallest=0.13,
    )
    ground.paint()


def _skyline(canvas: Canvas, rng: np.random.Generator, horizon: float) -> None:
    """Frontal blocks side by side at the horizon, each a building of its own."""
    for centre in np.arange(0.0, 1.01, 0.14) + rng.uniform(-0.03, 0.03, 8):
        high, wide = rng.uniform(0.08, 0.26), rng.uniform(0.12, 0.2)
        at = (centre * canvas.aspect, horizon + 0.01)
        parts = [part * (wide / 0.6, -high) + at for part in shapes.tower_block(rng)]
        canvas.thing(BUILDING, parts)


def _facades(
    canvas: Canvas,
    rng: np.random.Generator,
    vanishing: tuple[float, float],
    foot: float,
    side: float,
) -> None:
    """Facades along a street, far ones first: quadrilaterals that shrink to the vanishing point."""
    depths = [rng.uniform(0.75, 0.95)]  # distances in units where the lower border is at 1
    while len(depths) < 7:
        depths.append(depths[-1] + rng.uniform(0.5, 1.1))
    storeys = rng.uniform(0.8, 1.9, 6)  # heights in units of the camera's, at distance 1
    for near, far, high in reversed(list(zip(depths[:-1], depths[1:], storeys, strict=True))):
        canvas.thing(BUILDING, [_facade(vanishing, foot, side, near, far - 0.02, high)])


def _facade(
    vanishing: tuple[float, float], foot: float, side: float, near: float, far: float, high: float
) -> Points:
    """One facade and, away from the street, its front wall towards the viewer."""
    corners = []
    for depth in (near, far):
        x = vanishing[0] + (foot - vanishing[0]) / depth
        below = vanishing[1] + (1.0 - vanishing[1]) / depth
        corners.append((x, below, vanishing[1] - 0.42 * high / depth))
    (x0, low0, top0), (x1, low1, top1) = corners
    away = x0 + side * 0.5
    return np.array([(away, low0), (x0, low0), (x1, low1), (x1, top1), (x0, top0), (away, top0)])


def harbour(canvas: Canvas, rng: np.random.Generator) -> None:
    """Draw a quay, boats at anchor, and a town on the other shore."""
    ground = Ground(canvas, rng, rng.uniform(0.36, 0.46))
    terrain.sky(canvas, rng, ground.horizon)
    if rng.random() < 0.6:
        terrain.mountains(
            canvas, rng, ground.horizon, int(rng.integers(1, 3)), rng.uniform(0.14, 0.28)
        )
    x = columns_of(canvas)
    canvas.band(GRASS, line(x, ground.horizon - 0.015 + 0.01 * rolling(rng, x, 0.7)))
    for centre in np.arange(0.0, 1.01, 0.16) + rng.uniform(-0.03, 0.03, 7):
        shown, high = rng.random() < 0.8, rng.uniform(0.12, 0.26)
        kind = shapes.house if rng.random() < 0.6 else shapes.tower_block
        ground.add(
            BUILDING,
            kind,
            (centre * canvas.aspect, ground.horizon + 0.015),
            high if shown else 0.03,
        )
    ground.scatter(
        TREE,
        WOODS,
        int(rng.integers(0, 5)),
        height=0.0,
        rows=(0.02, 0.04),
        on=(GRASS,),
        smallest=0.13,
    )
    ground.paint()
    canvas.band(SEA, line(x, ground.horizon + rng.uniform(0.02, 0.035)))
    tilt = rng.uniform(-0.2, 0.2)
    quay = rng.uniform(0.74, 0.86) + tilt * (x / canvas.aspect - 0.5)
    canvas.band(PAVEMENT, line(x, quay))
    ground.scatter(
        BOAT,
        BOATS,
        int(rng.integers(2, 7)),
        height=0.75,
        rows=(0.1, 0.6),
        on=(SEA,),
        smallest=0.14,
    )
    ground.scatter(
        CAR,
        (shapes.car_side,),
        int(rng.integers(0, 2)),
        height=0.2,
        rows=(0.7, 0.95),
        on=(PAVEMENT,),
        smallest=0.13,
    )
    ground.scatter(
        PERSON,
        (shapes.person,),
        int(rng.integers(1, 5)),
        height=0.34,
        rows=(0.6, 0.95),
        on=(PAVEMENT,),
        smallest=0.18,
    )
    ground.paint()
