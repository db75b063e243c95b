# SPDX-License-Identifier: Apache-2.0
"""FID profiles: what each feeds its network, which images it uses, its arithmetic."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from spade_eval.metrics.fid_profiles import FID_PROFILES, FIDProfile
from spade_eval.metrics.moments import FeatureMoments
from spade_eval.weights import INCEPTION, INCEPTION_IMAGENET

SIZES = [(75, 40), (256, 512), (299, 299), (600, 1024)]


def eight_bit_image(size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.random.default_rng(7).integers(0, 256, (1, 3, *size), dtype=np.uint8)


def along(
    image: NDArray[np.float64], axis: int, weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Apply the (299, side) matrix of a resize along an axis."""
    return np.moveaxis(np.tensordot(weights, image, axes=(1, axis)), 0, axis)


def bilinear(side: int) -> NDArray[np.float64]:
    """Half-pixel centres, the two nearest samples, edges repeated."""
    position = np.clip((np.arange(299) + 0.5) * side / 299 - 0.5, 0, side - 1)
    low = np.floor(position).astype(int)
    weights = np.zeros((299, side))
    np.add.at(weights, (np.arange(299), low), 1 - (position - low))
    np.add.at(weights, (np.arange(299), np.minimum(low + 1, side - 1)), position - low)
    return weights


def antialiased_bicubic(side: int) -> NDArray[np.float64]:
    """Keys' kernel with a = -1/2, stretched when shrinking, cut off at the edges."""
    stretch = max(side / 299, 1.0)
    centre = (np.arange(299) + 0.5) * side / 299
    distance = np.abs((np.arange(side) + 0.5 - centre[:, None]) / stretch)
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    weights = np.where(distance < 1, near, np.where(distance < 2, far, 0.0))
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["pytorch-fid", "legacy-2019a", "legacy-2018", "oasis-train"])
def test_bilinear_profiles_resize_without_antialiasing(name: str, size: tuple[int, int]) -> None:
    image = eight_bit_image(size)
    resized = along(along(image / 255, 2, bilinear(size[0])), 3, bilinear(size[1]))
    expected = 2 * resized - 1
    if name == "legacy-2018":
        mean = np.array([0.485, 0.456, 0.406]).reshape(3, 1, 1)
        deviation = np.array([0.229, 0.224, 0.225]).reshape(3, 1, 1)
        expected = (resized * deviation + mean - 0.5) / 0.5
    computed = FID_PROFILES[name].network_input(torch.from_numpy(image))
    assert computed.dtype == torch.float32
    # PyTorch rounds the positions of samples, at up to 1024, to float32: 6e-5 of a step of 2.
    np.testing.assert_allclose(computed.numpy(), expected, atol=2e-4)


def without_half_pixels(side: int) -> NDArray[np.float64]:
    """Positions i * in / out, the two nearest samples, the last one repeated."""
    position = np.arange(299) * side / 299
    low = np.floor(position).astype(int)
    weights = np.zeros((299, side))
    np.add.at(weights, (np.arange(299), low), 1 - (position - low))
    np.add.at(weights, (np.arange(299), np.minimum(low + 1, side - 1)), position - low)
    return weights


@pytest.mark.parametrize("size", [*SIZES, (299, 299), (1, 1)])
def test_torch_fidelity_resizes_as_tensorflow_did(size: tuple[int, int]) -> None:
    image = eight_bit_image(size)
    resized = along(
        along(image * 1.0, 3, without_half_pixels(size[1])), 2, without_half_pixels(size[0])
    )
    computed = FID_PROFILES["torch-fidelity"].network_input(torch.from_numpy(image))
    # Positions up to 1024 in float32: 6e-5 of a step of up to 255, over 128.
    np.testing.assert_allclose(computed.numpy(), (resized - 128) / 128, atol=2.5e-4)
    if size == (299, 299):
        assert torch.equal(computed, (torch.from_numpy(image).float() - 128) / 128)


def test_torch_fidelity_takes_whole_positions_exactly() -> None:
    """Every second pixel of an image of twice the size: by eye, no weights."""
    image = eight_bit_image((598, 598))
    computed = FID_PROFILES["torch-fidelity"].network_input(torch.from_numpy(image))
    assert torch.equal(computed, (torch.from_numpy(image[:, :, ::2, ::2]).float() - 128) / 128)


@pytest.mark.parametrize("size", SIZES)
def test_clean_fid_resizes_with_antialiasing(size: tuple[int, int]) -> None:
    image = eight_bit_image(size)
    # Pillow takes the width first.
    resized = along(along(image * 1.0, 3, antialiased_bicubic(size[1])), 2, bicubic_rows(size))
    expected = (resized.clip(0, 255) - 128) / 128
    assert resized.min() < 0 or size != (75, 40), "clipping is put to the test"
    computed = FID_PROFILES["clean-fid"].network_input(torch.from_numpy(image))
    # Pillow keeps the intermediate image in float32: 1e-5 of 255, over 128.
    np.testing.assert_allclose(computed.numpy(), expected, atol=2e-6)


@pytest.mark.parametrize("size", [(512, 512), (256, 256), (300, 200)])
def test_freestylenet_makes_every_image_256x256_first(size: tuple[int, int]) -> None:
    """As a user does who resizes the files themselves and then runs pytorch-fid."""
    levels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    resized = Image.fromarray(levels).resize((256, 256), Image.Resampling.BICUBIC)

    def of_profile(name: str, image: NDArray[np.uint8]) -> torch.Tensor:
        batch = torch.from_numpy(image.copy()).permute(2, 0, 1)[None]
        return FID_PROFILES[name].network_input(batch)

    found = of_profile("pytorch-fid-256", levels)
    assert torch.equal(found, of_profile("pytorch-fid", np.asarray(resized)))
    assert torch.equal(found, of_profile("pytorch-fid", levels)) == (size == (256, 256))


def bicubic_rows(size: tuple[int, int]) -> NDArray[np.float64]:
    return antialiased_bicubic(size[0])


@pytest.mark.parametrize("name", FID_PROFILES)
def test_bytes_and_their_floats_are_the_same_input(name: str) -> None:
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    profile = FID_PROFILES[name]
    given = profile.network_input(levels)
    assert torch.equal(profile.network_input(levels.float() / 255), given)
    assert torch.allclose(profile.network_input(levels.double() / 255), given, atol=1e-6)


def test_only_the_training_profile_takes_floats_between_levels() -> None:
    between = torch.full((1, 3, 32, 32), 100.5 / 255)
    for name, profile in FID_PROFILES.items():
        if name == "oasis-train":
            expected = torch.full((1, 3, 299, 299), 201 / 255 - 1)
            torch.testing.assert_close(profile.network_input(between), expected)
        else:
            with pytest.raises(ValueError, match="between two levels"):
                profile.network_input(between)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("legacy-2018", {500: 448, 2000: 1984, 5000: 4992, 64: 64, 63: 63}),
        ("legacy-2019a", {500: 500, 2049: 2000, 49: 49}),
        ("pytorch-fid", {500: 500, 2049: 2049}),
        ("clean-fid", {500: 500}),
        ("torch-fidelity", {500: 500}),
        ("oasis-train", {500: 500}),
    ],
)
def test_number_of_images_used(name: str, counts: dict[int, int]) -> None:
    assert {count: FID_PROFILES[name].used_images(count) for count in counts} == counts


def test_networks_and_weights() -> None:
    for name, profile in FID_PROFILES.items():
        legacy = name.startswith("legacy")
        assert profile.network == ("torchvision" if legacy else "tensorflow-2015")
        assert profile.weights == (INCEPTION_IMAGENET if legacy else INCEPTION)


def draw_features(count: int, seed: int, dim: int = 128) -> Tensor:
    """(count, dim) float32 correlated features, not negative."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(dim, dim, generator=generator) / math.sqrt(dim)
    return (torch.randn(count, dim, generator=generator) @ mixing + 0.5).relu()


def moments_of(features: Tensor) -> FeatureMoments:
    moments = FeatureMoments(features.shape[1])
    moments.update(features)
    return moments


def float32_original(real: Tensor, synthesized: Tensor) -> float:
    """All in float32 but the root, which is SciPy's."""
    linalg = pytest.importorskip("scipy.linalg")
    means = [features.mean(dim=0) for features in (real, synthesized)]
    centred = [(features - features.mean(dim=0)).T for features in (real, synthesized)]
    covariances = [rows @ rows.T / (rows.shape[1] - 1) for rows in centred]
    root = linalg.sqrtm((covariances[0] @ covariances[1]).numpy())
    traces = sum(covariance.trace().item() for covariance in covariances)
    return (means[0] - means[1]).square().sum().item() + traces - 2 * float(np.trace(root).real)


@pytest.mark.parametrize("seed", [0, 2, 4])
def test_training_profile_repeats_the_float32_of_the_original(seed: int) -> None:
    errors = []
    for count in (600, 40):
        real, synthesized = draw_features(count, seed), draw_features(count, seed + 1)
        pair = moments_of(real), moments_of(synthesized)
        exact = FID_PROFILES["pytorch-fid"].distance(*pair)
        value = FID_PROFILES["oasis-train"].distance(*pair)
        assert value != exact
        errors.append((value - exact, float32_original(real, synthesized) - exact))
    full, deficient = errors
    # Rounding of traces of 90 in float32, in whatever order they are summed.
    assert full == pytest.approx((0, 0), abs=3e-4)
    # Below full rank zero eigenvalues drawn by rounding add up: an error of its own size and sign.
    assert deficient[0] == pytest.approx(deficient[1], rel=0.25)
    assert deficient[0] < -0.03


@pytest.mark.parametrize(
    ("name", "counts", "said"),
    [
        ("pytorch-fid", (500, 500), ["biased upward"]),
        ("pytorch-fid", (2048, 5000), ["biased upward"]),
        ("pytorch-fid", (5000, 2049), []),
        ("legacy-2018", (5000, 500), ["4992 of 5000 reference and 448 of 500", "biased upward"]),
        ("legacy-2018", (5000, 5000), ["4992 of 5000"]),
        ("oasis-train", (500, 500), ["biased upward", "float32"]),
        ("oasis-train", (5000, 5000), []),
    ],
)
def test_what_must_stand_beside_a_value(
    name: str, counts: tuple[int, int], said: list[str]
) -> None:
    notes = FID_PROFILES[name].notes(*counts)
    assert len(notes) == len(said)
    assert all(part in note for part, note in zip(said, notes, strict=True))


def test_profiles_are_values() -> None:
    with pytest.raises(AttributeError):
        FID_PROFILES["pytorch-fid"].antialias = True  # type: ignore[misc]
    assert len({repr(profile) for profile in FID_PROFILES.values()}) == len(FID_PROFILES)
    assert all(isinstance(profile, FIDProfile) for profile in FID_PROFILES.values())
