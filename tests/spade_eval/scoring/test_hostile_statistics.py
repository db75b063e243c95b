# SPDX-License-Identifier: Apache-2.0
"""Reference statistics of strangers, damaged from seeds: those that were stored, or refused."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from borders import tried
from mutations import damaged, misstated

from spade_eval.metrics.moments import FeatureMoments
from spade_eval.scoring.reference_statistics import (
    ReferenceStatistics,
    StatisticsIdentity,
    load_statistics,
)

IDENTITY = StatisticsIdentity(
    profile="pytorch-fid",
    weights_sha256="a" * 64,
    list_sha256="b" * 64,
    num_images=20,
    height=8,
    width=8,
)
# What no moments of any features are.
WRONG: tuple[tuple[str, Any], ...] = (
    ("sum", np.nan), ("sum", np.inf), ("sum", "text"), ("sum", 1e3), ("outer", -1.0),
    ("outer", np.triu(np.ones((6, 6)))), ("outer", np.ones((6, 7))), ("outer", -np.eye(6)),
    ("outer", np.full((6, 6), 1e6) - 999_970 * np.eye(6)), ("num_folded", -3),
    ("num_folded", 2**62), ("num_folded", 0.5), ("rows", np.ones((2, 6, 1))), ("rows", np.nan),
    ("rows", np.ones((2, 5))), ("rows", np.ones((6, 6), dtype=complex)), ("metadata", 3.0),
)  # fmt: skip


@pytest.fixture(scope="module")
def features() -> torch.Tensor:
    return torch.randn(20, 6, generator=torch.Generator().manual_seed(0))


def stored(path: Path, features: torch.Tensor, *, kept: bool) -> dict[str, Any]:
    moments = FeatureMoments(6)
    moments.update(features)
    ReferenceStatistics(IDENTITY, "scenes val", "c" * 64, moments, features if kept else None).save(
        path
    )
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files}


@pytest.mark.parametrize("kept", [True, False], ids=["features", "moments"])
def test_damage(tmp_path: Path, features: torch.Tensor, kept: bool) -> None:
    path = tmp_path / "s.npz"
    arrays = stored(path, features, kept=kept)
    content, sound = path.read_bytes(), load_statistics(path)
    stated = json.loads(str(arrays["metadata"]))

    def variants() -> Iterator[tuple[int, bytes]]:
        for seed in range(200):
            yield seed, damaged(content, seed)
            np.savez(
                tmp_path / "m.npz", **{**arrays, "metadata": np.array(misstated(stated, seed))}
            )
            yield -seed, (tmp_path / "m.npz").read_bytes()

    def right(read: ReferenceStatistics) -> bool:
        same = torch.equal(read.moments.covariance(), sound.moments.covariance())
        return same and torch.equal(read.moments.mean(), sound.moments.mean())

    accepted, refused = tried(path, variants(), load_statistics, right)
    assert refused > accepted > 0


def test_moments_of_nothing(tmp_path: Path, features: torch.Tensor) -> None:
    path = tmp_path / "s.npz"
    arrays = stored(path, features, kept=False)

    def variants() -> Iterator[tuple[int, bytes]]:
        for seed, (name, value) in enumerate(WRONG):
            wrong = np.full(arrays[name].shape, value) if np.isscalar(value) else np.asarray(value)
            np.savez(tmp_path / "m.npz", **{**arrays, name: wrong})
            yield seed, (tmp_path / "m.npz").read_bytes()

    accepted, _ = tried(path, variants(), load_statistics, lambda _: False)
    assert accepted == 0
