# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spade_eval.errors import UserError
from spade_eval.metrics.moments import FeatureMoments

DIM = 8
# Float64 sums of up to 100 numbers near 1 in another order.
ROUNDING = 1e-12


def draw_features(count: int, seed: int = 0) -> Tensor:
    """(count, DIM) float32 features with a mean away from 0, as those after a relu."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, DIM, generator=generator) + 2


def moments_of(*batches: Tensor) -> FeatureMoments:
    moments = FeatureMoments(DIM)
    for batch in batches:
        moments.update(batch)
    return moments


@pytest.mark.parametrize("count", [2, DIM - 1, DIM, DIM + 1, 2 * DIM, 100])
def test_equals_numpy(count: int) -> None:
    features = draw_features(count)
    moments = moments_of(features)
    rows = features.double().numpy()
    assert moments.count == count
    np.testing.assert_allclose(moments.mean(), rows.mean(axis=0), rtol=ROUNDING)
    covariance = np.cov(rows, rowvar=False)
    np.testing.assert_allclose(moments.covariance(), covariance, rtol=ROUNDING, atol=ROUNDING)


@settings(deadline=None)
@given(st.integers(2, 60), st.lists(st.integers(1, 30), max_size=20))
def test_batching_changes_no_bit(count: int, batch_sizes: list[int]) -> None:
    features = draw_features(count)
    whole, batched = moments_of(features), FeatureMoments(DIM)
    for size in batch_sizes:
        batched.update(features[batched.count : batched.count + size])
    batched.update(features[batched.count :])
    assert torch.equal(batched.mean(), whole.mean())
    assert torch.equal(batched.covariance(), whole.covariance())


@pytest.mark.parametrize(("count", "deficient"), [(DIM - 1, True), (DIM, True), (DIM + 1, False)])
def test_rows_are_kept_while_rank_deficient(count: int, deficient: bool) -> None:
    features = draw_features(count)
    moments = moments_of(features)
    assert moments.is_rank_deficient == deficient
    assert (np.linalg.matrix_rank(moments.covariance().numpy()) < DIM) == deficient
    if deficient:
        assert moments.features is not None
        assert torch.equal(moments.features, features.double())
    else:
        assert moments.features is None


@pytest.mark.parametrize("count", [3, DIM, 30])
def test_file_round_trip_goes_on_bit_for_bit(count: int, tmp_path: Path) -> None:
    features, later = draw_features(count), draw_features(25, seed=1)
    moments = moments_of(features)
    metadata = {"profile": "pytorch-fid", "list_sha256": "ab", "count": count}
    moments.save(tmp_path / "moments.npz", metadata)
    loaded, loaded_metadata = FeatureMoments.load(tmp_path / "moments.npz")
    assert loaded_metadata == metadata
    assert loaded.count == count
    assert torch.equal(loaded.covariance(), moments.covariance())
    for part in (loaded, moments):
        part.update(later)
    assert torch.equal(loaded.covariance(), moments.covariance())
    assert [path.name for path in tmp_path.iterdir()] == ["moments.npz"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_broken_features_are_an_error(value: float) -> None:
    moments = moments_of(draw_features(10))
    before = moments.covariance()
    broken = draw_features(5, seed=1)
    broken[3, 2] = value
    with pytest.raises(UserError, match=r"1 of 5 features hold NaN or infinity.*image 13"):
        moments.update(broken)
    assert moments.count == 10
    assert torch.equal(moments.covariance(), before)


def test_wrong_inputs(tmp_path: Path) -> None:
    moments = FeatureMoments(DIM)
    with pytest.raises(ValueError, match=r"\(3, 5\), expected \(N, 8\)"):
        moments.update(torch.zeros(3, 5))
    with pytest.raises(UserError, match="0 images, expected at least 1"):
        moments.mean()
    moments.update(draw_features(1))
    with pytest.raises(UserError, match="1 images, expected at least 2"):
        moments.covariance()
    (tmp_path / "text.npz").write_text("not an archive")
    (tmp_path / "empty.npz").touch()
    np.save(tmp_path / "array.npy", np.zeros(3))
    for name in ("text.npz", "empty.npz", "array.npy", "absent.npz"):
        with pytest.raises(UserError, match="does not hold feature moments"):
            FeatureMoments.load(tmp_path / name)


def save_as_before(path: Path, features: Tensor) -> None:
    """Write (3 * DIM, DIM) rows, two thirds folded, as a version that summed plain rows did."""
    folded = features[: 2 * DIM].double().numpy()
    np.savez(
        path, sum=folded.sum(axis=0), outer=folded.T @ folded, num_folded=np.array(len(folded)),
        rows=features[2 * DIM :].double().numpy(), metadata=np.array("{}"),
    )  # fmt: skip


def test_files_from_before_the_shift_are_read(tmp_path: Path) -> None:
    features = draw_features(3 * DIM)
    save_as_before(tmp_path / "moments.npz", features)
    loaded, expected = FeatureMoments.load(tmp_path / "moments.npz")[0], moments_of(features)
    for moments in (loaded, expected):
        moments.update(draw_features(25, seed=1))
    torch.testing.assert_close(loaded.covariance(), expected.covariance(), rtol=0, atol=ROUNDING)
    torch.testing.assert_close(loaded.mean_difference(expected), torch.zeros(DIM).double())


def test_files_whose_plain_sums_lost_the_variance_are_refused(tmp_path: Path) -> None:
    save_as_before(tmp_path / "moments.npz", draw_features(3 * DIM).double() + 1e7)
    with pytest.raises(UserError, match="so far from 0"):
        FeatureMoments.load(tmp_path / "moments.npz")


def test_a_shift_under_a_damaged_name_is_no_file_from_before(tmp_path: Path) -> None:
    path = tmp_path / "moments.npz"
    moments_of(draw_features(3 * DIM)).save(path, {})
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays["shifu"] = arrays.pop("shift")
    np.savez(path, **arrays)
    with pytest.raises(UserError, match="unknown array 'shifu'"):
        FeatureMoments.load(path)


@pytest.mark.parametrize("offset", [1e6, 1e8, -1e12])
@pytest.mark.parametrize("count", [DIM, 100])
def test_an_offset_costs_no_digits(count: int, offset: float) -> None:
    """Steps of 1/1024 stay exact beside the offset, so the spread is that without it."""
    features = (draw_features(count).double() * 1024).round() / 1024
    moments, moved = moments_of(features), moments_of(features + offset)
    torch.testing.assert_close(moved.covariance(), moments.covariance(), rtol=0, atol=ROUNDING)
    difference = moved.mean_difference(moments)
    torch.testing.assert_close(difference, torch.full_like(difference, offset), rtol=1e-15, atol=0)


def change_array(path: Path, name: str, change: Callable[[Any], Any]) -> None:
    with np.load(path) as stored:
        arrays = dict(stored)
    np.savez(path, **{**arrays, name: change(arrays[name])})


def with_element(value: float, *place: int) -> Callable[[Any], Any]:
    def change(array: Any) -> Any:
        array[place] = value
        return array

    return change


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("sum", lambda array: array[0], r"sum is float64 of shape \(\), expected"),
        ("sum", lambda array: array[:-1], r"outer is float64 of shape \(8, 8\), expected"),
        ("sum", lambda array: array.astype(str), "sum is <U"),
        ("sum", lambda array: array.astype(">f8"), "sum is >f8"),
        ("rows", lambda array: array[None], "rows is float64 of shape"),
        ("rows", lambda array: array[:, 1:], "rows is float64 of shape"),
        ("rows", lambda array: np.tile(array, (9, 1)), "0 folded|8 folded|folded rows and"),
        ("num_folded", lambda array: np.array(np.nan), "num_folded is float64"),
        ("num_folded", lambda array: np.array([8]), "num_folded is int64 of shape"),
        ("num_folded", lambda array: np.array(-8), "-8 folded rows"),
        ("shift", lambda array: array[1:], "shift is float64 of shape"),
        ("shift", with_element(np.nan, 0), "shift holds NaN or infinity"),
        ("sum", with_element(np.inf, 0), "sum holds NaN or infinity"),
        ("outer", with_element(np.nan, 0, 1), "outer holds NaN or infinity"),
        ("rows", with_element(-np.inf, 0, 0), "rows holds NaN or infinity"),
        ("outer", with_element(5.0, 0, 1), "outer is not symmetric"),
        ("outer", with_element(-1.0, 2, 2), "has a negative variance"),
        ("sum", with_element(1e3, 2), "has a negative variance"),
        ("outer", lambda array: array - 30 * np.ones((DIM, DIM)), "has a negative variance"),
        ("metadata", lambda array: np.array("[" * 5000), "nested deeper than 20"),
        ("metadata", lambda array: np.array('{"a": 1' + "0" * 5000 + "}"), "of 5,001 digits"),
        ("metadata", lambda array: np.array("[1]"), "no JSON object"),
    ],
)
def test_moments_that_no_features_have_are_refused(
    tmp_path: Path, name: str, change: Callable[[Any], Any], said: str
) -> None:
    path = tmp_path / "moments.npz"
    moments_of(draw_features(3 * DIM)).save(path, {})
    change_array(path, name, lambda array: array)
    FeatureMoments.load(path)
    change_array(path, name, change)
    with pytest.raises(UserError, match=said) as raised:
        FeatureMoments.load(path)
    assert "\n" not in str(raised.value)


def test_one_flipped_bit_is_refused_or_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "moments.npz"
    moments_of(draw_features(2)).save(path, {"profile": "clean-fid"})
    sound = path.read_bytes()
    rows, refusals = FeatureMoments.load(path)[0].features, []
    assert rows is not None
    for place in range(len(sound)):
        flipped = bytearray(sound)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        try:
            loaded, metadata = FeatureMoments.load(path)
        except UserError as error:
            refusals.append(str(error))
            continue
        assert loaded.features is not None
        assert torch.equal(loaded.features, rows)
        assert metadata == {"profile": "clean-fid"}
    assert len(refusals) > len(sound) / 2
    assert "\n" not in "".join(refusals)
