# SPDX-License-Identifier: Apache-2.0
"""Where names stand beside their marks: touching no mark and no other name, the same every time.

All lengths are in points of the figure, so that no drawing is needed to place a name.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

# Right of the mark first, as texts are read; then left, above, below and between.
_DIRECTIONS = (0, 180, 90, 270, *(45, 315, 135, 225), *(22, 338, 158, 202, 68, 112, 248, 292))
_CLEAR = 2.5  # between a name and any mark
_STEP = 4.0
_FARTHEST = 400.0


@dataclass(frozen=True)
class Mark:
    """A mark at (x, y) within `radius`, and the size of its name."""

    x: float
    y: float
    radius: float
    width: float
    height: float


@dataclass(frozen=True)
class Box:
    """A rectangle."""

    left: float
    low: float
    right: float
    high: float

    def overlaps(self, other: "Box") -> bool:
        """Return whether the two share more than a rim."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.low < other.high
            and other.low < self.high
        )

    def nearest_to(self, x: float, y: float) -> tuple[float, float]:
        """Return the point of the rectangle that is nearest to a place."""
        return min(max(x, self.left), self.right), min(max(y, self.low), self.high)

    def distance_to(self, x: float, y: float) -> float:
        """Return how far the rectangle is from a place, 0 inside."""
        near = self.nearest_to(x, y)
        return math.hypot(near[0] - x, near[1] - y)

    def is_inside(self, other: "Box") -> bool:
        """Return whether no part of it is outside of another."""
        return (
            other.left <= self.left
            and self.right <= other.right
            and other.low <= self.low
            and self.high <= other.high
        )


def placed(marks: Sequence[Mark], frame: Box) -> list[Box]:
    """Return the place of each name within a frame: the nearest free one, upper marks first.

    Where a frame has no free place left, the name stands right of its mark.
    """
    taken = [_around(mark) for mark in marks]
    boxes: dict[int, Box] = {}
    order = sorted(range(len(marks)), key=lambda place: (-marks[place].y, marks[place].x))
    for place in order:
        boxes[place] = _nearest_free(marks[place], taken, frame)
        taken.append(boxes[place])
    return [boxes[place] for place in range(len(marks))]


def _around(mark: Mark) -> Box:
    reach = mark.radius + _CLEAR - 0.5  # a name at the least distance does not touch it
    return Box(mark.x - reach, mark.y - reach, mark.x + reach, mark.y + reach)


def _nearest_free(mark: Mark, taken: Sequence[Box], frame: Box) -> Box:
    for step in range(int(_FARTHEST / _STEP)):
        distance = mark.radius + _CLEAR + step * _STEP
        for direction in _DIRECTIONS:
            box = _beside(mark, distance, direction)
            if box.is_inside(frame) and not any(map(box.overlaps, taken)):
                return box
    return _beside(mark, mark.radius + _CLEAR, 0)


def _beside(mark: Mark, distance: float, direction: int) -> Box:
    """A name's box with its nearest edge `distance` from the mark in a direction, in degrees."""
    angle = math.radians(direction)
    across, up = round(math.cos(angle), 6), round(math.sin(angle), 6)
    x = mark.x + across * distance + _sign(across) * mark.width / 2
    y = mark.y + up * distance + _sign(up) * mark.height / 2
    return Box(x - mark.width / 2, y - mark.height / 2, x + mark.width / 2, y + mark.height / 2)


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
