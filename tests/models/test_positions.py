# SPDX-License-Identifier: Apache-2.0
"""Positional maps, against regions that are found by walking from pixel to pixel."""

import numpy as np
import pytest
import torch

from spade_eval.models.labels import SemanticLayout
from spade_eval.models.positions import mirrored, positional_map
from spade_eval.models.semantics import SemanticMap


def blobs(seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 4, (6, 5))
    return coarse.repeat(3, 0).repeat(2, 1).astype(np.uint8)


def walked(values: np.ndarray, skipped: int) -> np.ndarray:
    """The same map, one pixel at a time."""
    height, width = values.shape
    made, seen = np.zeros((2, height, width)), values == skipped
    for start in np.argwhere(~seen):
        if seen[tuple(start)]:
            continue
        seen[tuple(start)] = True
        region, todo = [], [tuple(start)]
        while todo:
            i, j = todo.pop()
            region.append((i, j))
            for k in range(max(0, i - 1), min(height, i + 2)):
                for m in range(max(0, j - 1), min(width, j + 2)):
                    if not seen[k, m] and values[k, m] == values[i, j]:
                        seen[k, m] = True
                        todo.append((k, m))
        offsets = np.array(region, float) - np.mean(region, axis=0)
        offsets /= np.abs(offsets).max(axis=0) + 1e-5
        for place, offset in zip(region, offsets, strict=True):
            made[(slice(None), *place)] = offset
    return made


@pytest.mark.parametrize(("seed", "skipped"), [(0, 0), (1, 0), (0, 3), (0, 255)])
def test_every_region_has_its_offsets(seed: int, skipped: int) -> None:
    values = blobs(seed)
    made = positional_map(values, skipped)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, walked(values, skipped), atol=1e-6)
    assert made.any()


def test_corners_connect_and_one_row_has_no_vertical_offset() -> None:
    diagonal = np.array([[1, 2], [2, 1]])
    np.testing.assert_allclose(positional_map(diagonal)[0], [[-1, -1], [1, 1]], atol=1e-4)
    row = positional_map(np.array([[5, 5, 5]], np.int64))
    np.testing.assert_allclose(row, [[[0, 0, 0]], [[-1, 0, 1]]], atol=1e-4)


def test_a_mirrored_label_map_has_the_mirrored_positions() -> None:
    values = blobs()
    np.testing.assert_allclose(
        positional_map(values[:, ::-1]), mirrored(positional_map(values)), atol=1e-6
    )


@pytest.mark.parametrize("unknown", ["first", "last"])
def test_a_semantic_map_makes_its_own_when_asked(unknown: str) -> None:
    """Channel 0 has none: unlabelled pixels where these come first, else a class."""
    values = blobs().astype(np.int64)
    values[:3] = 255
    layout = SemanticLayout(num_classes=4, unknown=unknown)  # type: ignore[arg-type]
    semantics = SemanticMap(torch.from_numpy(values)[None], layout)
    expected = positional_map(values, 255 if unknown == "first" else 0)
    assert torch.equal(semantics.positions_at((18, 10))[0], torch.from_numpy(expected))
    half = semantics.positions_at((9, 5))
    assert torch.equal(half[0], torch.from_numpy(expected)[:, ::2, ::2])
    assert semantics.positions_at((18, 10)) is semantics.positions_at((18, 10))
    assert semantics.to(dtype=torch.float64).positions_at((9, 5)).dtype == torch.float64


def test_given_positions_are_taken_as_they_are_and_made_once() -> None:
    calls = []

    def made() -> torch.Tensor:
        calls.append(1)
        return torch.ones(1, 2, 4, 4)

    semantics = SemanticMap(
        torch.zeros(1, 4, 4, dtype=torch.int64), SemanticLayout(num_classes=1), None, made
    )
    assert not calls, "nobody asked yet"
    semantics.at((4, 4))
    for size in ((4, 4), (2, 2), (4, 4)):
        assert semantics.positions_at(size).eq(1).all()
    assert calls == [1]
    other = semantics.with_positions(lambda: torch.zeros(1, 2, 4, 4))
    assert not other.positions_at((4, 4)).any()
    assert semantics.positions_at((4, 4)).all()


def test_a_soft_map_needs_positions_to_be_given() -> None:
    with pytest.raises(ValueError, match="no label a pixel"):
        SemanticMap.from_tensor(torch.ones(1, 2, 4, 4)).positions_at((4, 4))
