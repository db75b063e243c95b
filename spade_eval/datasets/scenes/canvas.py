# SPDX-License-Identifier: Apache-2.0
"""Painting label and instance maps together, far things first.

Coordinates are in units of the image height, x to the right and y down, so that a scene is the same
at every size. One integer image holds instance ids; each id has one class, hence one look-up turns
it into the label map. Convention: stuff has its class as id, each thing an id from 16 upwards.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from spade_eval.datasets.scenes.classes import NUM_CLASSES, SKY
from spade_eval.models.labels import Size

Points = NDArray[np.float64]
"""(n, 2) corners (x, y) of a polygon."""


class Canvas:
    """A picture plane of instance ids that starts as empty sky."""

    def __init__(self, size: Size) -> None:
        self.height, self.width = size
        self.aspect = self.width / self.height
        self._image = Image.new("I", (self.width, self.height), SKY)
        self._draw = ImageDraw.Draw(self._image)
        self._labels = list(range(NUM_CLASSES))

    def stuff(self, label: int, points: Points) -> None:
        """Paint one polygon of an uncountable class."""
        self._polygon(points, label)

    def thing(self, label: int, parts: Sequence[Points]) -> None:
        """Paint the union of polygons as one new instance."""
        self._labels.append(label)
        for points in parts:
            self._polygon(points, len(self._labels) - 1)

    def band(self, label: int, top: Points, *, instance: bool = False) -> None:
        """Paint everything below the line `top`, which runs from left to right."""
        corners = np.array([[top[-1, 0], 1.1], [top[0, 0], 1.1]])
        points = np.concatenate([top, corners])
        if instance:
            self.thing(label, [points])
        else:
            self.stuff(label, points)

    def label_at(self, x: float, y: float) -> int:
        """Return the class at a point, or -1 outside the picture."""
        column, row = int(x * self.height), int(y * self.height)
        if not (0 <= column < self.width and 0 <= row < self.height):
            return -1
        pixel = self._image.getpixel((column, row))
        assert isinstance(pixel, int)
        return self._labels[pixel]

    def maps(self) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """Label map and instance map, both (H, W)."""
        instance_map = np.array(self._image, dtype=np.int32)
        label_map = np.array(self._labels, dtype=np.uint8)[instance_map]
        return label_map, instance_map

    def _polygon(self, points: Points, value: int) -> None:
        # Pixel centres lie at half-integers of the plane, and at integers for the rasteriser.
        pixels = points * self.height - 0.5
        self._draw.polygon(pixels.ravel().tolist(), fill=value)
