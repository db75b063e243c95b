# SPDX-License-Identifier: Apache-2.0
"""CMMD's distance: the paper's double sum in NumPy, one pair at a time."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from spade_eval.metrics import columns, mmd
from spade_eval.metrics.recomputed import RecordedSpace

Floats = NDArray[np.float64]
OF_COLUMN = {"fd_clip": mmd.CLIPMMD, "fd_dinov2": mmd.DINOv2MMD, "fd_hf": mmd.OtherMMD}


def plain(x: Floats, y: Floats) -> float:
    """Means of k over all i and j, k(x, y) = exp(-|x - y|² / (2 · 10²)), times 1000."""

    def mean(one: Floats, other: Floats) -> float:
        total = 0.0
        for a in one:
            for b in other:
                total += math.exp(-sum((a - b) ** 2) / (2 * 10**2))
        return total / (len(one) * len(other))

    return 1000 * (mean(x, x) + mean(y, y) - 2 * mean(x, y))


def sets(num_real: int = 23, num_made: int = 31) -> tuple[Floats, Floats]:
    numbers = np.random.default_rng(0)
    return numbers.normal(size=(num_real, 6)), 1.3 * numbers.normal(size=(num_made, 6)) + 0.2


@pytest.mark.parametrize("column", OF_COLUMN)
def test_it_is_the_double_sum_of_features_of_length_1(
    column: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mmd, "_CHUNK_ROWS", 7)
    real, made = sets()
    metric = OF_COLUMN[column](RecordedSpace(column, None))
    found = metric.of_features(torch.from_numpy(real), torch.from_numpy(made))
    (name,) = metric.columns
    unit = [side / np.linalg.norm(side, axis=1, keepdims=True) for side in (real, made)]
    # Numbers near 1 whose difference is 1e-3 keep 13 of 16 digits.
    assert dict(found) == {name: pytest.approx(plain(*unit), rel=1e-9)}


def test_a_set_against_itself_is_at_zero_and_order_does_not_matter() -> None:
    real, made = (torch.from_numpy(side) for side in sets())
    assert mmd.squared_discrepancy(real, real.clone()) == 0
    assert mmd.squared_discrepancy(real, made.flip(0)) == pytest.approx(
        mmd.squared_discrepancy(made, real), rel=1e-9
    )


def test_lengths_of_features_do_not_matter() -> None:
    real, made = (torch.from_numpy(side) for side in sets())
    lengths = torch.linspace(0.1, 10, len(made), dtype=torch.float64)[:, None]
    assert mmd.squared_discrepancy(real, lengths * made) == pytest.approx(
        mmd.squared_discrepancy(real, made), rel=1e-9
    )


def test_only_the_papers_network_is_called_cmmd() -> None:
    named = {name: column.label for name, column in columns().items() if name.startswith("mmd_")}
    assert named == {
        "mmd_clip": "MMD (CLIP)", "mmd_dinov2": "MMD (DINOv2)", "mmd_hf": "MMD (hf)"
    }  # fmt: skip
