# SPDX-License-Identifier: Apache-2.0
"""Pools of earlier images against a list that is searched and changed."""

import pytest
import torch
from plain_translation import PlainPool

from spade_eval.models.systems.pools import ImagePool


@pytest.mark.parametrize("count", [1, 3])
def test_a_pool_does_what_a_list_does(count: int) -> None:
    pool, plain = ImagePool(5, (2, 2)), PlainPool(5)
    random = torch.Generator().manual_seed(0)
    for _ in range(40):
        images = torch.rand(count, 3, 2, 2, generator=random)
        drawn = torch.rand(count, 2, generator=random)
        shown = pool(images, drawn)
        assert torch.equal(shown, plain.query(images, drawn.tolist()))
        assert torch.equal(pool.images[: len(plain.kept)], torch.stack(plain.kept))
        assert pool.filled == len(plain.kept)
    assert plain.swapped == pytest.approx((40 * count - 5) / 2, rel=0.35)


def test_an_empty_pool_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at least 1"):
        ImagePool(0, (2, 2))
