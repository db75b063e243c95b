# SPDX-License-Identifier: Apache-2.0
"""Corruptions of photos: each step is worse than the one before, and none changes the size."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np
import pytest

from spade_eval.datasets.tools.corruptions import STEPS, Step, shuffled

LADDERS = [(name, list(steps)) for name, steps in groupby(STEPS, lambda step: step.ladder)]


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    rows, columns = np.mgrid[:48, :64]
    waves = [127 + 90 * np.sin(rows / 5 + k) * np.cos(columns / (3 + k)) for k in range(3)]
    return np.stack(waves, axis=2).astype(np.uint8)


@pytest.mark.parametrize(("name", "steps"), LADDERS, ids=[name for name, _ in LADDERS])
def test_each_step_is_worse(photo: np.ndarray, name: str, steps: Sequence[Step]) -> None:
    changed = []
    for step in steps:
        made = step.apply(photo, np.random.default_rng(0))
        assert (made.shape, made.dtype) == (photo.shape, np.uint8)
        assert np.array_equal(made, step.apply(photo, np.random.default_rng(0)))
        changed.append(np.abs(made.astype(int) - photo).mean())
    assert changed[0] > 0
    if name != "shuffle":  # tiles of any size may come to lie where they fit
        assert changed == sorted(changed)


def test_tiles_change_places_and_nothing_else() -> None:
    photo = np.arange(7 * 9 * 3, dtype=np.uint8).reshape(7, 9, 3)
    made = shuffled(2)(photo, np.random.default_rng(1))
    assert sorted(made.ravel()) == sorted(photo.ravel())
    assert np.array_equal(made[6:], photo[6:])
    assert np.array_equal(made[:, 8:], photo[:, 8:])
