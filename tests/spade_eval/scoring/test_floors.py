# SPDX-License-Identifier: Apache-2.0
"""The photos of a floor: as many train photos as are scored, kept once beside the val photos."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from spade_eval.engine import Benchmark
from spade_eval.errors import UserError
from spade_eval.metrics.feature_set import FeatureSet
from spade_eval.rows import Request
from spade_eval.sources.source import RealPhotos

Make = Callable[..., Benchmark]


def floor_files(benchmark: Benchmark) -> list[Path]:
    return sorted((benchmark.place.run_folder / "cache").glob("floor-*.npz"))


def test_a_run_keeps_train_photos_beside_those_it_compares_with(
    benchmark_in: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark = benchmark_in()
    benchmark.run(Request())
    (path,) = floor_files(benchmark)
    cache = benchmark.place.run_folder / "cache"
    assert (cache / path.name.replace("floor", "reference")).is_file()
    networks = benchmark.networks
    (distance,) = networks.distances
    train = dataclasses.replace(networks.scorer, dataset=networks.train_split())
    expected = train.features_of(RealPhotos(), distance).features
    kept = FeatureSet.load(path).features
    assert expected is not None
    assert kept is not None
    assert len(kept) == benchmark.count
    assert torch.equal(kept, expected)
    reference = FeatureSet.load(cache / path.name.replace("floor", "reference")).features
    assert reference is not None
    assert not torch.equal(kept, reference)
    written = path.stat().st_mtime_ns
    networks.keep_floors()
    assert path.stat().st_mtime_ns == written


def test_without_as_many_train_photos_there_is_no_floor(
    benchmark_in: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent() -> None:
        raise UserError("images/train is no folder")

    few, none = benchmark_in("few"), benchmark_in("none")
    monkeypatch.setattr(few.networks, "count", len(few.networks.train_split()) + 1)
    few.networks.keep_floors()
    monkeypatch.setattr(none.networks, "train_split", absent)
    none.networks.keep_floors()
    assert not floor_files(few)
    assert not floor_files(none)
