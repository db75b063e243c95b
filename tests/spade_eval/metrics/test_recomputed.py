# SPDX-License-Identifier: Apache-2.0
"""Numbers made again from stored features are those that a run records."""

from pathlib import Path

import pytest
import torch

from spade_eval.metrics.feature_set import FeatureSet
from spade_eval.metrics.fid_profiles import FID_PROFILES
from spade_eval.metrics.frechet import frechet_distance
from spade_eval.metrics.kid import kernel_distance
from spade_eval.metrics.recomputed import (
    RecordedSpace,
    from_features,
    is_repeatable,
    presentation,
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("features")
    numbers = torch.Generator().manual_seed(0)
    for name, shift in (("photos", 0.0), ("made", 0.5)):
        features = torch.randn(40, 8, generator=numbers) + shift
        FeatureSet.of(features).save(folder / f"{name}.npz")
    return folder / "photos.npz", folder / "made.npz"


def test_every_number_of_the_features_is_made(files: tuple[Path, Path]) -> None:
    real, made = map(FeatureSet.load, files)
    found = from_features(RecordedSpace("fid", "pytorch-fid"), *files)
    assert found.keys() == {"fid", "kid", "precision", "recall", "density", "coverage"}
    assert found["fid"] == frechet_distance(real.moments, made.moments)
    assert real.features is not None
    assert made.features is not None
    assert found["kid"] == kernel_distance(real.features, made.features).mean
    extra = from_features(RecordedSpace("fid_clean-fid", "clean-fid"), *files)
    assert extra == {"fid_clean-fid": found["fid"]}
    in_domain = from_features(RecordedSpace("fd_in_domain", None), *files)
    same = {name: found[name] for name in ("precision", "recall")}
    assert in_domain == {"fd_in_domain": found["fid"], **same}


def test_what_depends_on_the_machine_is_not_made(files: tuple[Path, Path]) -> None:
    for name in FID_PROFILES:
        assert is_repeatable(name) == (name != "oasis-train")
    assert from_features(RecordedSpace("fid", "oasis-train"), *files) == {}
    assert from_features(RecordedSpace("fid", "of a later version"), *files) == {}


def test_the_presentation_is_that_of_the_column() -> None:
    assert presentation("miou", None) == ("%", True)
    assert presentation("fid_clean-fid", "clean-fid") == ("", False)
    assert presentation("of a later version", None) is None
