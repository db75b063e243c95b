# SPDX-License-Identifier: Apache-2.0
"""Features in a run's cache are used where they are those that were made, and made again else."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from spade_eval.metrics.arrays import write_arrays
from spade_eval.metrics.feature_set import FeatureSet
from spade_eval.scoring.scorer import cached_features

FEATURES = torch.rand(5, 3, generator=torch.Generator().manual_seed(0))
Read = Callable[..., bool]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "reference-0.npz"


@pytest.fixture
def makes(path: Path) -> Read:
    """Read the cache, and say whether the features were made for it."""

    def read(made_by: str = "photos") -> bool:
        calls = []

        def make() -> FeatureSet:
            calls.append(made_by)
            return FeatureSet.of(FEATURES)

        features = cached_features(path, made_by, make).features
        assert features is not None
        assert torch.equal(features, FEATURES)
        return bool(calls)

    return read


def changed(path: Path) -> None:
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays["features"][0, 0] += 1
    write_arrays(path, **arrays)


def reshaped(path: Path) -> None:
    with np.load(path) as stored:
        arrays = dict(stored)
    write_arrays(path, **{**arrays, "features": arrays["features"].reshape(3, 5)})


def of_a_run_before(path: Path) -> None:
    FeatureSet.of(FEATURES + 1).save(path)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 16
    path.write_bytes(content)


def test_features_are_made_once(makes: Read) -> None:
    assert [makes(), makes(), makes()] == [True, False, False]


def test_features_of_other_photos_are_made_again(makes: Read) -> None:
    assert [makes("these"), makes("those"), makes("those")] == [True, True, False]


@pytest.mark.parametrize("damage", [changed, reshaped, of_a_run_before, cut, flipped])
def test_a_changed_cache_is_made_again(
    path: Path, makes: Read, damage: Callable[[Path], None]
) -> None:
    makes()
    damage(path)
    assert [makes(), makes()] == [True, False]
