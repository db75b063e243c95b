# SPDX-License-Identifier: Apache-2.0
"""Floors: train photos against val photos, as independent sides."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from counted import write_run
from numpy.typing import NDArray
from synthetic import group

from spade_eval.records import Measurement, RecordStore
from spade_eval.reports.measured.grouping import Row
from spade_eval.reports.statistics.feature_distances import frechet, left_out_frechet
from spade_eval.reports.statistics.floors import floors_of
from spade_eval.reports.statistics.intervals import row_uncertainty
from spade_eval.reports.statistics.jackknife import T_QUANTILE
from spade_eval.reports.statistics.kernel_distances import (
    GAUSSIAN,
    left_out_sides,
    over_all_pairs,
)
from spade_eval.reports.statistics.stored_distances import NOT_CORRECTED

Floats = NDArray[np.float64]


def run_with_floor(folder: Path, dim: int = 6) -> tuple[Floats, Floats]:
    """A run of one row with train and val photos of `dim` features."""
    write_run(folder, {"mine": 0.3})
    train, val = np.random.default_rng(0).normal(size=(2, 60, dim)).astype(np.float32)
    np.savez(folder / "cache" / f"floor-{'e' * 16}.npz", features=train)
    np.savez(folder / "cache" / f"reference-{'e' * 16}.npz", features=val)
    return train.astype(np.float64), val.astype(np.float64)


def rows(folder: Path) -> tuple[Row, ...]:
    return group(RecordStore(folder / "records.jsonl")).rows


def as_kernel(row: Row, metric: str = "kid") -> Row:
    """The same row with a kernel distance in the place of the Fréchet distance."""
    item: Measurement = dataclasses.replace(row.scores["fd_in_domain"], metric=metric)
    return dataclasses.replace(row, scores={metric: item})


def test_each_side_is_left_out_in_turn(tmp_path: Path) -> None:
    train, val = run_with_floor(tmp_path)
    found = floors_of(rows(tmp_path), tmp_path)["fd_in_domain"]
    left_out = left_out_frechet(train, val, paired=False)
    assert found.value == frechet(train, val)
    assert found.corrected.value == pytest.approx(found.value - left_out.bias)
    high = found.corrected.value + T_QUANTILE * left_out.standard_error
    assert found.corrected.high == pytest.approx(high)
    # One source: the distance of the populations is 0, and the interval holds it.
    assert found.corrected.low == 0 < found.value
    assert row_uncertainty(rows(tmp_path), [tmp_path]).floors == {"fd_in_domain": found}
    for path in (tmp_path / "cache").glob("*-eeee*"):
        if "fd_in_domain" not in path.name:
            path.unlink()
    assert floors_of(rows(tmp_path), tmp_path) == {"fd_in_domain": found}, "it is kept"


def test_the_kernel_distance_has_no_bias_to_remove(tmp_path: Path) -> None:
    train, val = run_with_floor(tmp_path)
    found = floors_of([as_kernel(rows(tmp_path)[0])], tmp_path)["kid"]
    assert found.value == found.corrected.value == left_out_sides(train, val).value


def test_floors_of_more_features_than_images_are_not_corrected(tmp_path: Path) -> None:
    train, val = run_with_floor(tmp_path, 80)
    found = floors_of(rows(tmp_path), tmp_path)["fd_in_domain"]
    assert found.value == frechet(train, val)
    assert found.corrected.remark == NOT_CORRECTED


def test_there_is_none_without_photos_of_both_splits(tmp_path: Path) -> None:
    write_run(tmp_path, {"mine": 0.3})
    assert floors_of(rows(tmp_path), tmp_path) == {}


def test_of_the_gaussian_kernel_the_printed_number_has_its_bias(tmp_path: Path) -> None:
    train, val = run_with_floor(tmp_path)
    of_kernel = [as_kernel(row, "mmd_clip") for row in rows(tmp_path)]
    left_out = left_out_sides(train, val, GAUSSIAN)
    for _ in range(2):  # computed, and kept
        found = floors_of(of_kernel, tmp_path)["mmd_clip"]
        assert found.value == pytest.approx(over_all_pairs(train, val, GAUSSIAN))
        assert found.corrected.value == left_out.value < found.value
        assert found.corrected.low == 0 < found.corrected.high
