# SPDX-License-Identifier: Apache-2.0
"""Names of numbers over several draws, and counts over all of them, against plain loops."""

import numpy as np
import pytest
from numpy.typing import NDArray

from spade_eval.errors import UserError
from spade_eval.metrics import columns
from spade_eval.metrics.counts import StoredCounts
from spade_eval.metrics.draws import (
    BEST,
    MEAN,
    POOLED,
    base_of,
    best_counts,
    column_over,
    draw_name,
    over_of,
    pooled_counts,
)

NAMES = ("a", "b", "c")


def counts(seed: int, names: tuple[str, ...] = NAMES) -> StoredCounts:
    numbers = np.random.default_rng(seed)
    found: NDArray[np.uint32] = numbers.integers(0, 50, (len(names), 3, 4), dtype=np.uint32)
    found[:, 0] = np.minimum(found[:, 0], found[:, 1:].min(axis=1))
    return StoredCounts(names, found, numbers.integers(0, 9, len(names), dtype=np.uint32))


def test_names_come_back() -> None:
    for column in (*columns(), "fid_legacy-2019a", "fid_clean-fid"):
        assert (base_of(column), over_of(column)) == (column, None)
        for over in (POOLED, MEAN, BEST, draw_name(2), draw_name(13)):
            named = column_over(column, over)
            assert (base_of(named), over_of(named)) == (column, over)


def test_pooled_counts_are_sums_of_each_label_map() -> None:
    draws = [counts(seed) for seed in range(3)]
    found = pooled_counts(draws)
    assert found.names == NAMES
    for place in range(len(NAMES)):
        assert np.array_equal(found.counts[place], sum(draw.counts[place] for draw in draws))
        assert found.num_ignored[place] == sum(int(draw.num_ignored[place]) for draw in draws)


def test_the_best_is_chosen_map_by_map_by_correct_pixels() -> None:
    draws = [counts(seed) for seed in range(3)]
    found = best_counts(draws)
    for place in range(len(NAMES)):
        correct = [int(draw.counts[place, 0].sum()) for draw in draws]
        best = draws[correct.index(max(correct))]  # the first of equal ones
        assert np.array_equal(found.counts[place], best.counts[place])
    assert len({int(one.counts[:, 0].sum(axis=-1).argmax()) for one in draws}) > 1, "one draw wins"


def test_draws_of_other_label_maps_are_refused() -> None:
    with pytest.raises(UserError, match="other label maps"):
        pooled_counts([counts(0), counts(1, ("a", "b", "d"))])


def test_more_pixels_than_a_count_holds_are_refused() -> None:
    full = np.full((1, 3, 1), np.iinfo(np.uint32).max, dtype=np.uint32)
    one = StoredCounts(("a",), full, np.zeros(1, np.uint32))
    with pytest.raises(UserError, match="32 bits"):
        pooled_counts([one, one])
