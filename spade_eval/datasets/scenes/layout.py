# SPDX-License-Identifier: Apache-2.0
"""Label and instance map of a scene: one of eight kinds of places, with even chances."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from spade_eval.datasets.scenes.built_places import countryside, harbour, street
from spade_eval.datasets.scenes.canvas import Canvas
from spade_eval.datasets.scenes.wild_places import beach, coast, desert, meadow, valley
from spade_eval.models.labels import Size

Place = Callable[[Canvas, np.random.Generator], None]

PLACES: tuple[Place, ...] = (
    beach,
    coast,
    valley,
    meadow,
    countryside,
    street,
    harbour,
    desert,
)


def draw_layout(
    size: Size, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Label map and instance map, both (H, W), of a place drawn from `rng`."""
    canvas = Canvas(size)
    PLACES[int(rng.integers(len(PLACES)))](canvas, rng)
    return canvas.maps()
