# SPDX-License-Identifier: Apache-2.0
"""Precision, recall, density and coverage against loops over the papers' definitions."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spade_eval.errors import UserError
from spade_eval.metrics import neighbours
from spade_eval.metrics.density_coverage import density_coverage
from spade_eval.metrics.precision_recall import precision_recall

Points = list[tuple[int, int]]


def squared(a: tuple[int, int], b: tuple[int, int]) -> int:
    return (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2


def squared_radius(points: Points, index: int, k: int) -> int:
    others = points[:index] + points[index + 1 :]
    return sorted(squared(points[index], other) for other in others)[k - 1]


def brute_force(real: Points, synthesized: Points, k: int) -> dict[str, Fraction]:
    """All four metrics in exact arithmetic on integer points.

    Rims belong to the balls of precision and recall, not to those of density and coverage.
    """

    def inside(point: tuple[int, int], points: Points, index: int) -> bool:
        return squared(point, points[index]) <= squared_radius(points, index, k)

    def within(point: tuple[int, int], index: int) -> bool:
        return squared(point, real[index]) < squared_radius(real, index, k)

    def share(points: Points, manifold: Points) -> Fraction:
        found = sum(any(inside(p, manifold, i) for i in range(len(manifold))) for p in points)
        return Fraction(found, len(points))

    balls = sum(within(p, i) for p in synthesized for i in range(len(real)))
    covered = sum(any(within(p, i) for p in synthesized) for i in range(len(real)))
    return {
        "precision": share(synthesized, real),
        "recall": share(real, synthesized),
        "density": Fraction(balls, k * len(synthesized)),
        "coverage": Fraction(covered, len(real)),
    }


def compute(real: Tensor, synthesized: Tensor, k: int) -> dict[str, float]:
    return precision_recall(real, synthesized, k) | density_coverage(real, synthesized, k)


# A small grid: copies of points, ties and points on the rim are the rule, not the exception.
POINTS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=4, max_size=10)


@settings(deadline=None)
@given(POINTS, POINTS, st.integers(1, 3))
def test_equals_brute_force(real: Points, synthesized: Points, k: int) -> None:
    computed = compute(torch.tensor(real).float(), torch.tensor(synthesized).float(), k)
    expected = brute_force(real, synthesized, k)
    assert computed == pytest.approx({name: float(value) for name, value in expected.items()})


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    real, synthesized = torch.randn(2, 50, 3, generator=generator)
    whole = compute(real, synthesized, 3)
    monkeypatch.setattr(neighbours, "_CHUNK_ROWS", 7)
    assert compute(real, synthesized, 3) == whole


def test_identical_sets_cover_each_other() -> None:
    features = torch.randn(60, 16, generator=torch.Generator().manual_seed(1))
    k = 5
    # Each ball holds its centre and k neighbours, the last on the rim, which is outside.
    expected = {"precision": 1.0, "recall": 1.0, "density": 1.0, "coverage": 1.0}
    assert compute(features, features.flip(0), k) == expected


def test_copies_of_photos_do_not_fill_their_neighbourhoods() -> None:
    """Where k copies of a photo lie together, the ball of each has no inside."""
    features = torch.randn(20, 4, generator=torch.Generator().manual_seed(5))
    copied = features.repeat_interleave(6, dim=0)
    assert density_coverage(copied, features, k=5) == {"density": 0.0, "coverage": 0.0}
    assert precision_recall(copied, features, k=5)["precision"] == 1.0


def test_sets_far_apart_share_nothing() -> None:
    features = torch.randn(60, 16, generator=torch.Generator().manual_seed(2))
    assert set(compute(features, features + 1000, 5).values()) == {0.0}


def test_one_mode_of_two_is_precise_but_covers_half() -> None:
    generator = torch.Generator().manual_seed(3)
    modes = torch.randn(2, 100, 8, generator=generator) + torch.tensor([0.0, 100.0]).view(2, 1, 1)
    synthesized = torch.randn(300, 8, generator=generator)
    values = compute(modes.flatten(0, 1), synthesized, 5)
    assert values["precision"] > 0.9
    assert values["recall"] <= 0.5
    assert values["coverage"] == pytest.approx(0.5, abs=0.05)


def test_squared_radii_of_a_line() -> None:
    features = torch.tensor([[0.0], [1.0], [3.0], [3.0]])
    radii = {k: neighbours.squared_radii(features, k, with_rim=True).tolist() for k in (1, 3)}
    # The slack is below 1e-9 here.
    assert radii[1] == pytest.approx([1, 1, 0, 0], abs=1e-9)
    assert radii[3] == pytest.approx([9, 4, 9, 9], abs=1e-9)


def test_common_offset_costs_no_digits() -> None:
    features = torch.randn(2, 60, 16, generator=torch.Generator().manual_seed(4)).double()
    assert compute(*(features + 1e8), 3) == compute(*features, 3)


@pytest.mark.parametrize("k", [0, 4])
def test_too_few_images(k: int) -> None:
    with pytest.raises(UserError, match=rf"neighbour {k} of 4 images, expected 1\.\.3"):
        precision_recall(torch.zeros(4, 2), torch.zeros(4, 2), k)
