# SPDX-License-Identifier: Apache-2.0
"""Names beside marks: none touches a mark or another name, and they stand where they stood."""

import math
import random
from itertools import combinations

import pytest

from spade_eval.reports.plots.labels import Box, Mark, placed

FRAME = Box(0, 0, 460, 260)


def marks(count: int, spread: float, seed: int = 0) -> list[Mark]:
    numbers = random.Random(seed)
    return [
        Mark(
            x=230 + numbers.uniform(-spread, spread),
            y=130 + numbers.uniform(-spread, spread) / 2,
            radius=numbers.choice([3, 8, 15]),
            width=numbers.uniform(20, 90),
            height=8.5,
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize(("count", "spread"), [(1, 0), (2, 0), (7, 5), (7, 150), (25, 40)])
def test_no_name_touches_a_mark_or_a_name(count: int, spread: float) -> None:
    given = marks(count, spread)
    boxes = placed(given, FRAME)
    assert placed(given, FRAME) == boxes
    for first, second in combinations(boxes, 2):
        assert not first.overlaps(second)
    for box in boxes:
        assert box.is_inside(FRAME)
        for mark in given:
            assert box.distance_to(mark.x, mark.y) >= mark.radius


def test_a_name_alone_stands_right_of_its_mark_and_left_at_the_right_rim() -> None:
    (box,) = placed([Mark(100, 50, 5, 40, 8)], FRAME)
    assert (box.left, box.low) == (pytest.approx(107.5), 46)
    (box,) = placed([Mark(450, 50, 5, 40, 8)], FRAME)
    assert box.right == pytest.approx(442.5)


def test_a_full_frame_has_names_all_the_same() -> None:
    tiny = Box(0, 0, 30, 10)
    boxes = placed([Mark(10, 5, 3, 40, 8)] * 2, tiny)
    assert len(boxes) == 2
    assert all(math.isfinite(box.left) for box in boxes)
