# SPDX-License-Identifier: Apache-2.0
"""Fréchet distance against closed forms, exact ranks, pytorch-fid's function and stored values."""

import ast
import importlib.util
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor

from spade_eval.errors import UserError
from spade_eval.metrics.frechet import frechet_distance
from spade_eval.metrics.moments import FeatureMoments

DIM = 24


def moments_of(features: Tensor, batch_size: int = 1000) -> FeatureMoments:
    moments = FeatureMoments(features.shape[1])
    for batch in features.split(batch_size):
        moments.update(batch)
    return moments


def draw_features(count: int, seed: int, shift: float = 0.0) -> Tensor:
    """(count, DIM) float64 correlated features, not negative, as those of Inception."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(DIM, DIM, generator=generator, dtype=torch.float64) / math.sqrt(DIM)
    normal = torch.randn(count, DIM, generator=generator, dtype=torch.float64)
    return (normal @ mixing + 0.5 + shift).relu()


def with_exact_moments(mean: Tensor, deviation: Tensor) -> Tensor:
    """Features whose sample mean and diagonal sample covariance are as given."""
    dim = len(mean)
    spikes = torch.eye(dim, dtype=torch.float64) * math.sqrt((2 * dim - 1) / 2)
    return mean + torch.cat([spikes, -spikes]) * deviation


def test_diagonal_gaussians_have_a_closed_form() -> None:
    generator = torch.Generator().manual_seed(0)
    mean_1, mean_2 = torch.randn(2, DIM, generator=generator, dtype=torch.float64)
    deviation_1, deviation_2 = torch.rand(2, DIM, generator=generator, dtype=torch.float64) + 0.1
    first = moments_of(with_exact_moments(mean_1, deviation_1))
    second = moments_of(with_exact_moments(mean_2, deviation_2))
    expected = (mean_1 - mean_2).square().sum() + (deviation_1 - deviation_2).square().sum()
    assert frechet_distance(first, second) == pytest.approx(expected.item(), rel=1e-12)


def test_one_dimension_has_a_closed_form() -> None:
    first, second = torch.tensor([[0.0], [2.0], [4.0]]), torch.tensor([[1.0], [2.0]])
    expected = (2 - 1.5) ** 2 + (2 - math.sqrt(0.5)) ** 2
    value = frechet_distance(moments_of(first), moments_of(second))
    assert value == pytest.approx(expected, rel=1e-12)


# Below, at and above the number of dimensions, on either side. Expected is the nuclear norm of the
# centred cross product by NumPy, which needs no covariance and is exact at every rank.
@pytest.mark.parametrize("count", [2, 10, DIM, DIM + 1, 200])
@pytest.mark.parametrize("other_count", [10, DIM, 300])
def test_equals_the_nuclear_norm_at_every_rank(count: int, other_count: int) -> None:
    real, synthesized = draw_features(count, seed=1), draw_features(other_count, seed=2, shift=0.2)
    x, y = real - real.mean(dim=0), synthesized - synthesized.mean(dim=0)
    traces = x.square().sum().item() / (count - 1) + y.square().sum().item() / (other_count - 1)
    singular = np.linalg.svd((x @ y.T).numpy(), compute_uv=False)
    root_trace = singular.sum() / math.sqrt((count - 1) * (other_count - 1))
    offset = (real.mean(dim=0) - synthesized.mean(dim=0)).square().sum().item()
    expected = offset + traces - 2 * root_trace
    value = frechet_distance(moments_of(real), moments_of(synthesized))
    # A zero eigenvalue of the mixed case is only zero to the root of the rounding error.
    assert value == pytest.approx(expected, rel=1e-9, abs=2e-7)


@pytest.mark.parametrize("count", [5, DIM, 200])
def test_identical_sets_are_at_distance_zero(count: int) -> None:
    features = draw_features(count, seed=3)
    # The difference of traces of about 10, rounded; roots double the lost digits at rank N - 1.
    assert frechet_distance(moments_of(features), moments_of(features)) <= 1e-10


@pytest.mark.parametrize("count", [10, 200])
def test_symmetric_and_independent_of_batching(count: int) -> None:
    real, synthesized = draw_features(count, seed=4), draw_features(150, seed=5)
    value = frechet_distance(moments_of(real), moments_of(synthesized))
    assert frechet_distance(moments_of(real, 7), moments_of(synthesized, 1)) == value
    swapped = frechet_distance(moments_of(synthesized), moments_of(real))
    assert swapped == pytest.approx(value, rel=1e-9)


def test_translation_adds_its_square() -> None:
    features = draw_features(200, seed=6)
    value = frechet_distance(moments_of(features), moments_of(features + 0.5))
    assert value == pytest.approx(DIM * 0.25, rel=1e-9)


@pytest.mark.parametrize("offset", [1e6, 1e8])
@pytest.mark.parametrize("counts", [(100, 90), (20, 90), (20, 15)], ids=str)
def test_an_offset_of_all_features_changes_nothing(counts: tuple[int, int], offset: float) -> None:
    """Sums of plain squares were off by 2e-3 at 1e6 and gave 0 from 1e8."""
    sides = [
        (draw_features(count, seed) * 1024).round() / 1024 for seed, count in enumerate(counts)
    ]
    expected = frechet_distance(*map(moments_of, sides))
    found = frechet_distance(*(moments_of(side + offset) for side in sides))
    assert found == pytest.approx(expected, rel=1e-9)


def test_constant_feature_is_no_obstacle() -> None:
    """A feature that never varies makes the covariance singular whatever the number of images."""
    real, synthesized = draw_features(200, seed=7), draw_features(200, seed=8)
    expected = frechet_distance(moments_of(real[:, 1:]), moments_of(synthesized[:, 1:]))
    real[:, 0] = synthesized[:, 0] = 0
    value = frechet_distance(moments_of(real), moments_of(synthesized))
    # Only the zero eigenvalue differs, and enters by the root of its rounding error.
    assert value == pytest.approx(expected, abs=1e-6)


def test_wrong_inputs() -> None:
    with pytest.raises(ValueError, match="24 and 5 dimensions"):
        frechet_distance(FeatureMoments(DIM), FeatureMoments(5))
    with pytest.raises(UserError, match="1 images, expected at least 2"):
        frechet_distance(moments_of(draw_features(1, 0)), moments_of(draw_features(5, 0)))


# Tolerances of the reference data: all methods agree at full rank; below it each covariance form
# adds the roots of rounding errors of its zero eigenvalues.
@pytest.mark.parametrize(
    ("real", "synthesized", "tolerance"),
    [("a500", "b500", 1e-9), ("a500", "b50", 1e-6), ("a50", "b50", 1e-6)],
)
def test_equals_stored_values(
    parity_case: Callable[[str], dict[str, Any]], real: str, synthesized: str, tolerance: float
) -> None:
    case = parity_case("segmenter_fid")
    first, second = (torch.from_numpy(case[name]).double() for name in (real, synthesized))
    value = frechet_distance(moments_of(first), moments_of(second))
    assert value == pytest.approx(case[f"fid_{real}_{synthesized}"], rel=tolerance)
    nuclear_norm = case[f"fid_{real}_{synthesized}"][3]
    assert value == pytest.approx(nuclear_norm, rel=1e-9)


def test_stored_set_against_itself(parity_case: Callable[[str], dict[str, Any]]) -> None:
    features = torch.from_numpy(parity_case("segmenter_fid")["a500"])
    assert frechet_distance(moments_of(features), moments_of(features)) <= 1e-12


@pytest.fixture(scope="module")
def pytorch_fid_distance() -> Callable[..., float]:
    """pytorch-fid's `calculate_frechet_distance`, from its installed source.

    Importing its module would import its network and torchvision; the function needs neither, and
    so it can be compared with also where torchvision does not fit the build of torch.
    """
    package = importlib.util.find_spec("pytorch_fid")
    if package is None or package.origin is None:
        pytest.skip("pytorch-fid is not installed")
    tree = ast.parse(Path(package.origin).with_name("fid_score.py").read_text())
    name = "calculate_frechet_distance"
    tree.body = [node for node in tree.body if getattr(node, "name", None) == name]
    namespace: dict[str, Any] = {"np": np, "linalg": scipy.linalg}
    exec(compile(tree, package.origin, "exec"), namespace)
    distance: Callable[..., float] = namespace[name]
    return distance


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of an argument it passes to sqrtm
@pytest.mark.parametrize(
    ("count", "tolerance"), [(300, {"rel": 1e-6}), (12, {"abs": 1e-3})], ids=["full", "deficient"]
)
def test_equals_pytorch_fid(
    pytorch_fid_distance: Callable[..., float], count: int, tolerance: dict[str, float]
) -> None:
    real, synthesized = draw_features(count, seed=9), draw_features(count, seed=10, shift=0.3)
    statistics = [
        statistic
        for features in (real.numpy(), synthesized.numpy())
        for statistic in (features.mean(axis=0), np.cov(features, rowvar=False))
    ]
    value = frechet_distance(moments_of(real), moments_of(synthesized))
    assert value == pytest.approx(pytorch_fid_distance(*statistics), **tolerance)


def test_equals_scipy_root_of_the_product() -> None:
    real, synthesized = draw_features(300, seed=11), draw_features(400, seed=12, shift=0.3)
    first, second = moments_of(real), moments_of(synthesized)
    root = scipy.linalg.sqrtm((first.covariance() @ second.covariance()).numpy())
    expected = (first.mean() - second.mean()).square().sum() + (
        first.covariance().trace() + second.covariance().trace() - 2 * np.trace(root).real
    )
    assert frechet_distance(first, second) == pytest.approx(expected.item(), rel=1e-9)
