# SPDX-License-Identifier: Apache-2.0
"""Places in nature: beach, coast, mountain valley, meadow, desert.

Each is painted from the sky down to the foreground.
"""

import numpy as np

from spade_eval.datasets.scenes import shapes, terrain
from spade_eval.datasets.scenes.canvas import Canvas
from spade_eval.datasets.scenes.classes import (
    BOAT,
    BUILDING,
    CAR,
    FIELD,
    GRASS,
    MOUNTAIN,
    PERSON,
    ROAD,
    ROCK,
    SAND,
    SEA,
    TREE,
)
from spade_eval.datasets.scenes.shapes import BOATS, WOODS
from spade_eval.datasets.scenes.terrain import Ground, columns_of, line, rolling


def beach(canvas: Canvas, rng: np.random.Generator) -> None:
    """Draw sand that slopes to the open sea: bathers, boats, palms, boulders."""
    ground = Ground(canvas, rng, rng.uniform(0.34, 0.48))
    terrain.sky(canvas, rng, ground.horizon)
    has_headland = rng.random() < 0.6
    if has_headland:
        terrain.headland(canvas, rng, ground.horizon)
    x = columns_of(canvas)
    canvas.band(SEA, line(x, ground.horizon))
    tilt = rng.uniform(-0.45, 0.45)
    shore = 0.68 + tilt * (x / canvas.aspect - 0.5) + 0.035 * rolling(rng, x, 0.8)
    canvas.band(SAND, line(x, np.maximum(shore, ground.horizon + 0.02)))
    if rng.random() < 0.35:
        dune = 1.0 - 0.35 * np.sign(tilt) * (x / canvas.aspect - 0.45)
        canvas.band(GRASS, line(x, dune + 0.03 * rolling(rng, x, 1.7)))
    ground.scatter(
        BOAT, BOATS, int(rng.integers(0, 4)), height=1.0, rows=(0.05, 0.4), on=(SEA,), smallest=0.1
    )
    ground.scatter(
        ROCK,
        (shapes.rock,),
        int(rng.integers(0, 5)),
        height=0.2,
        rows=(0.3, 0.9),
        on=(SEA, SAND),
        smallest=0.05,
    )
    ground.scatter(
        PERSON,
        (shapes.person,),
        int(rng.integers(1, 6)),
        height=0.38,
        rows=(0.35, 0.95),
        on=(SAND,),
        smallest=0.14,
    )
    edge = (0.0, 0.22) if rng.random() < 0.5 else (0.78, 1.0)
    ground.scatter(
        TREE,
        (shapes.palm,),
        int(rng.integers(0, 4)),
        height=0.95,
        rows=(0.35, 0.9),
        columns=edge,
        on=(SAND, GRASS),
    )
    ground.paint()


def coast(canvas: Canvas, rng: np.random.Generator) -> None:
    """Draw a grassy cape above the sea, with rocks at its foot and a house on it."""
    ground = Ground(canvas, rng, rng.uniform(0.36, 0.5))
    terrain.sky(canvas, rng, ground.horizon)
    if rng.random() < 0.5:
        terrain.headland(canvas, rng, ground.horizon)
    x = columns_of(canvas)
    canvas.band(SEA, line(x, ground.horizon))
    side = 1.0 if rng.random() < 0.5 else -1.0
    across = np.clip(0.5 + side * (x / canvas.aspect - 0.5), 0.0, 1.0)  # 0 at sea, 1 on land
    edge = 1.02 - 0.62 * np.clip(across * 1.5 - 0.3, 0.0, 1.0) ** 0.8
    edge += 0.025 * rolling(rng, x, 1.3)
    canvas.band(MOUNTAIN, line(x, edge + 0.01), instance=True)
    canvas.band(GRASS, line(x, edge + 0.2 * np.clip(1.15 - across, 0.0, 1.0)))
    land = (0.55, 1.0) if side > 0 else (0.0, 0.45)
    ground.scatter(
        BOAT,
        BOATS,
        int(rng.integers(1, 4)),
        height=1.0,
        rows=(0.05, 0.6),
        on=(SEA,),
        smallest=0.12,
    )
    ground.scatter(
        ROCK,
        (shapes.rock,),
        int(rng.integers(2, 7)),
        height=0.22,
        rows=(0.3, 1.0),
        on=(SEA, GRASS),
        smallest=0.06,
    )
    ground.scatter(
        BUILDING,
        (shapes.house,),
        int(rng.integers(0, 3)),
        height=0.6,
        rows=(0.3, 0.6),
        columns=land,
        on=(GRASS,),
        smallest=0.16,
    )
    ground.scatter(
        TREE,
        WOODS,
        int(rng.integers(0, 4)),
        height=0.7,
        rows=(0.2, 0.7),
        columns=land,
        on=(GRASS,),
        smallest=0.16,
    )
    ground.scatter(
        PERSON,
        (shapes.person,),
        int(rng.integers(0, 3)),
        height=0.36,
        rows=(0.5, 0.95),
        columns=land,
        on=(GRASS,),
        smallest=0.15,
    )
    ground.paint()


def valley(canvas: Canvas, rng: np.random.Generator) -> None:
    """Draw high mountains over meadows, conifers and at times a lake and a winding road."""
    ground = Ground(canvas, rng, rng.uniform(0.5, 0.6))
    terrain.sky(canvas, rng, 0.3)
    terrain.mountains(canvas, rng, ground.horizon, int(rng.integers(2, 4)), rng.uniform(0.28, 0.42))
    x = columns_of(canvas)
    canvas.band(GRASS, line(x, ground.horizon + 0.02 * rolling(rng, x, 1.1)))
    lake, road = rng.random() < 0.45, rng.random() < 0.4
    _lake(canvas, rng, ground.horizon, lake)
    vanishing = (rng.uniform(0.2, 0.8) * canvas.aspect, ground.horizon + 0.01)
    foot, bend = rng.uniform(0.1, 0.9) * canvas.aspect, rng.uniform(-0.8, 0.8)
    if road and not lake:
        terrain.way(canvas, ROAD, vanishing=vanishing, foot=foot, half_width=0.22, bend=bend)
    ground.scatter(
        TREE,
        (shapes.conifer,),
        int(rng.integers(5, 16)),
        height=0.85,
        rows=(0.03, 0.8),
        on=(GRASS,),
        smallest=0.09,
    )
    ground.scatter(
        ROCK,
        (shapes.rock,),
        int(rng.integers(0, 5)),
        height=0.2,
        rows=(0.2, 0.95),
        on=(GRASS, SEA),
        smallest=0.05,
    )
    ground.scatter(
        BUILDING,
        (shapes.house,),
        int(rng.integers(0, 3)),
        height=0.7,
        rows=(0.15, 0.5),
        on=(GRASS,),
        smallest=0.14,
    )
    ground.scatter(
        PERSON,
        (shapes.person,),
        int(rng.integers(0, 3)),
        height=0.4,
        rows=(0.4, 0.95),
        on=(GRASS, ROAD),
        smallest=0.15,
    )
    ground.scatter(
        BOAT,
        BOATS,
        int(rng.integers(0, 3)),
        height=0.6,
        rows=(0.15, 0.5),
        on=(SEA,),
        smallest=0.11,
    )
    ground.paint()


def _lake(canvas: Canvas, rng: np.random.Generator, horizon: float, shown: bool) -> None:
    centre, wide = rng.uniform(0.2, 0.8) * canvas.aspect, rng.uniform(0.5, 0.9)
    y, high = horizon + rng.uniform(0.12, 0.2), rng.uniform(0.08, 0.13)
    outline = shapes.bumpy(rng, centre, y, wide, high)
    if shown:
        canvas.stuff(SEA, outline)


def meadow(canvas: Canvas, rng: np.random.Generator) -> None:
    """Draw rolling hills with a wood, walkers and patches of crops."""
    ground = Ground(canvas, rng, rng.uniform(0.4, 0.52))
    terrain.sky(canvas, rng, ground.horizon)
    if rng.random() < 0.5:
        terrain.mountains(canvas, rng, ground.horizon, 1, rng.uniform(0.1, 0.2))
    x = columns_of(canvas)
    for step, label in enumerate((GRASS, FIELD if rng.random() < 0.6 else GRASS, GRASS)):
        y = ground.horizon + 0.14 * step * (1.0 + 0.5 * step)
        swell = 0.035 * (1.0 + 0.5 * step)
        canvas.band(label, line(x, y + swell * rolling(rng, x, 0.9)))
        ground.scatter(
            TREE,
            WOODS,
            int(rng.integers(1, 7)),
            height=0.9,
            rows=(0.04 + 0.2 * step, 0.3 + 0.2 * step),
            on=(GRASS,),
            smallest=0.1,
        )
        ground.paint()
    ground.scatter(
        PERSON,
        (shapes.person,),
        int(rng.integers(0, 4)),
        height=0.38,
        rows=(0.5, 0.95),
        on=(GRASS, FIELD),
        smallest=0.15,
    )
    ground.scatter(
        ROCK,
        (shapes.rock,),
        int(rng.integers(0, 4)),
        height=0.18,
        rows=(0.4, 0.95),
        on=(GRASS,),
        smallest=0.06,
    )
    ground.paint()


def desert(canvas: Canvas, rng: np.random.Generator) -> None:
    """Draw dunes and table mountains, boulders, cacti and at times a road across."""
    ground = Ground(canvas, rng, rng.uniform(0.42, 0.54))
    terrain.sky(canvas, rng, ground.horizon)
    x = columns_of(canvas)
    for rise in rng.uniform(0.08, 0.2, int(rng.integers(1, 3))):
        top = ground.horizon + 0.01 - rise * terrain.mesas(rng, x, rng.uniform(1.0, 1.8))
        canvas.band(MOUNTAIN, line(x, top), instance=True)
    canvas.band(SAND, line(x, ground.horizon + 0.015 * rolling(rng, x, 0.9)))
    ahead, across = rng.random() < 0.4, rng.random() < 0.5
    vanishing = (rng.uniform(0.3, 0.7) * canvas.aspect, ground.horizon + 0.01)
    foot, level = rng.uniform(0.2, 0.8) * canvas.aspect, rng.uniform(0.68, 0.8)
    if ahead:
        terrain.way(canvas, ROAD, vanishing=vanishing, foot=foot, half_width=0.3)
    elif across:
        corners = ((-0.1, level), (canvas.aspect + 0.1, level))
        canvas.stuff(
            ROAD, np.array([*corners, (canvas.aspect + 0.1, level + 0.14), (-0.1, level + 0.14)])
        )
    ground.scatter(
        ROCK,
        (shapes.rock,),
        int(rng.integers(2, 8)),
        height=0.26,
        rows=(0.1, 1.0),
        on=(SAND,),
        smallest=0.05,
    )
    ground.scatter(
        TREE,
        (shapes.cactus,),
        int(rng.integers(0, 6)),
        height=0.6,
        rows=(0.08, 0.9),
        on=(SAND,),
        smallest=0.12,
    )
    car = rng.uniform(0.2, 0.8, 2)
    at = (car[0] * canvas.aspect, level + 0.04 + 0.06 * car[1])
    ground.add(CAR, shapes.car_side, at, 0.15 if not ahead else 0.0, (ROAD,))
    ground.scatter(
        CAR,
        (shapes.car_front,),
        int(rng.integers(0, 3)),
        height=0.32,
        rows=(0.2, 0.8),
        columns=(0.3, 0.7),
        on=(ROAD,) if ahead else (),
        smallest=0.08,
    )
    ground.scatter(
        PERSON,
        (shapes.person,),
        int(rng.integers(0, 2)),
        height=0.4,
        rows=(0.4, 0.95),
        on=(SAND,),
        smallest=0.15,
    )
    ground.paint()
