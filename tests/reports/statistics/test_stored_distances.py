# SPDX-License-Identifier: Apache-2.0
"""Recorded distances without their bias: what is corrected, what is not, and what is kept."""

import math
from pathlib import Path

import numpy as np
import pytest
from counted import write_run
from numpy.typing import NDArray
from synthetic import group

from spade_eval.records import RecordStore
from spade_eval.reports.statistics import stored_distances
from spade_eval.reports.statistics.feature_distances import frechet, left_out_frechet
from spade_eval.reports.statistics.frechet_influence import expand_frechet
from spade_eval.reports.statistics.intervals import row_uncertainty
from spade_eval.reports.statistics.jackknife import T_QUANTILE
from spade_eval.reports.statistics.kernel_distances import (
    GAUSSIAN,
    left_out_pairs,
    paired_sums,
)
from spade_eval.reports.statistics.stored_distances import (
    NOT_CORRECTED,
    SAME_IMAGES,
    StoredDistance,
    difference_of,
)

Floats = NDArray[np.float64]


def stored(
    folder: Path, real: Floats, made: Floats, metric: str = "fd_in_domain", add: float = 0.0
) -> StoredDistance:
    """The distance of two sets as it was recorded, which may be off by `add`."""
    value = frechet(real, made) + add
    return StoredDistance(metric, value, real, made, lambda form: folder / f"{form}.npz")


def sets(num_images: int = 80, dim: int = 6) -> tuple[Floats, Floats]:
    real, noise = np.random.default_rng(0).normal(size=(2, num_images, dim))
    return real, 0.8 * real + noise + 0.2


def test_the_bias_is_taken_from_what_was_recorded(tmp_path: Path) -> None:
    real, made = sets()
    left_out = left_out_frechet(real, made, paired=True)
    found = stored(tmp_path, real, made, "fid_oasis-train", add=0.7).corrected
    assert found.value == pytest.approx(left_out.value + 0.7 - left_out.bias)
    assert found.high - found.low == pytest.approx(2 * T_QUANTILE * left_out.standard_error)
    assert found.remark == ""


def test_the_kernel_distance_is_that_without_pairs(tmp_path: Path) -> None:
    real, made = sets()
    found = stored(tmp_path, real, made, "kid").corrected
    assert found.value == left_out_pairs(paired_sums(real, made)).value
    assert found.low < found.value < found.high


def test_the_distance_of_another_kernel_too(tmp_path: Path) -> None:
    real, made = sets()
    distance = stored(tmp_path / "1", real, made, "mmd_dinov2")
    left_out = left_out_pairs(paired_sums(real, made, GAUSSIAN))
    assert distance.corrected.value == left_out.value
    assert distance.corrected.low < left_out.value < distance.corrected.high
    worse = stored(tmp_path / "2", real, made + 3, "mmd_dinov2")
    assert difference_of(worse, distance).low > 0


@pytest.mark.parametrize("metric", ["fd_in_domain", "kid", "mmd_clip"])
def test_the_same_images_are_at_zero_without_an_interval(tmp_path: Path, metric: str) -> None:
    real, _ = sets()
    found = stored(tmp_path, real, real.copy(), metric).corrected
    assert (found.value, found.remark) == (0.0, SAME_IMAGES)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_nothing_is_corrected_up_to_as_many_images_as_features(tmp_path: Path) -> None:
    real, made = sets(60, 60)
    found = stored(tmp_path, real, made).corrected
    assert math.isnan(found.value)
    assert found.remark == NOT_CORRECTED
    # A kernel distance has no such bound.
    assert stored(tmp_path, real, made, "kid").corrected.remark == ""


def test_what_takes_long_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, made = sets()
    distance = stored(tmp_path, real, made)
    influence = expand_frechet(real, made, paired=True).influence
    np.testing.assert_array_equal(distance.influence, influence)
    first = distance.left_out
    assert len(list(tmp_path.iterdir())) == 2
    unkept = StoredDistance("fd_in_domain", distance.recorded, real, made)
    np.testing.assert_array_equal(unkept.influence, influence)
    assert unkept.corrected == distance.corrected
    other = StoredDistance("fd_in_domain", 0.0, real + 1, made, distance.kept)
    assert not np.array_equal(other.influence, influence)  # what is kept is of these features alone
    np.testing.assert_array_equal(distance.influence, influence)
    again = StoredDistance("fd_in_domain", 0.0, real, made, distance.kept)
    again.influence, again.left_out  # noqa: B018  (kept anew, after the other's)
    for slow in ("influence_of_maps", "left_out_frechet", "left_out_plainly"):
        monkeypatch.setattr(stored_distances, slow, None)
    np.testing.assert_array_equal(again.influence, influence)
    np.testing.assert_array_equal(again.left_out.without, first.without)


def test_rows_of_a_run_have_corrected_distances(tmp_path: Path) -> None:
    write_run(tmp_path, {"mine": 0.3, "bad": 0.7})
    # What versions with the photos held fixed kept is another thing, and not read.
    (tmp_path / "cache" / "left_out-fd_in_domain-0123456789abcdef.npz").write_bytes(b"")
    rows = group(RecordStore(tmp_path / "records.jsonl")).rows
    found = row_uncertainty(rows, [tmp_path])
    assert set(found.corrected) == {("mine", "fd_in_domain"), ("bad", "fd_in_domain")}
    for place, item in found.corrected.items():
        assert found.intervals[place] == (item.low, item.high)
        assert 0 <= item.low < item.value < item.high
    assert ("mine", "miou") in found.intervals


def test_rows_without_features_or_with_too_few_have_none(tmp_path: Path) -> None:
    write_run(tmp_path / "none", {"mine": 0.3}, features=False)
    write_run(tmp_path / "few", {"mine": 0.3}, num_images=39)
    for folder in (tmp_path / "none", tmp_path / "few"):
        rows = group(RecordStore(folder / "records.jsonl")).rows
        assert not row_uncertainty(rows, [folder]).corrected


@pytest.mark.parametrize("dim", [6, 80])
def test_without_features_a_distance_compares_as_with_them(dim: int) -> None:
    """Also where nothing removes the bias (60 images of 80 features)."""
    numbers = np.random.default_rng(0)
    real, mine, other = numbers.normal(size=(3, 60, dim))
    stored = [
        StoredDistance("fid", frechet(real, side), real, side) for side in (real + mine, other)
    ]
    settled = [item.settled() for item in stored]
    assert difference_of(*settled) == difference_of(*stored)
    assert settled[0].num_images == 60
