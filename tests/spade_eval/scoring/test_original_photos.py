# SPDX-License-Identifier: Apache-2.0
"""FID against photos of their own sizes: each alone through the network, all of them, in order."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from spade_eval.datasets import open_dataset
from spade_eval.datasets.base import Dataset
from spade_eval.datasets.scenes import Scenes
from spade_eval.errors import UserError
from spade_eval.metrics.fid_profiles import FID_PROFILES
from spade_eval.protocol import protocol_for
from spade_eval.scoring.distances import Distance
from spade_eval.scoring.original_photos import features_of_originals
from spade_eval.scoring.scorer import Scorer

SIZES = ((30, 50), (64, 20), (41, 41))


class Sizes:
    """Features of an image are its height, its width and its mean."""

    feature_dim = 3

    def __call__(self, images: Tensor) -> Tensor:
        means = images.mean(dim=(1, 2, 3))
        height, width = images.shape[-2:]
        return torch.stack([torch.tensor([height, width, mean]) for mean in means])


def scorer(dataset: Dataset, count: int) -> Scorer:
    return Scorer(
        dataset, count, protocol_for("seg2any", "ade20k"), cast(Any, None), (), torch.device("cpu")
    )


def distance(profile: str = "clean-fid") -> Distance:
    return Distance("fid", "x", "y", Sizes(), profile, FID_PROFILES[profile])


@pytest.fixture
def photos(tmp_path: Path) -> list[np.ndarray]:
    """Three photos of three sizes in ADE20K's layout below `tmp_path`."""
    random, made = np.random.default_rng(0), []
    for number, size in enumerate(SIZES, start=1):
        photo = random.integers(0, 256, (*size, 3), dtype=np.uint8)
        for folder, values in (("images", photo), ("annotations", photo[..., 0] % 151)):
            path = tmp_path / folder / "validation" / f"ADE_val_{number:08d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(path)
        made.append(photo)
    return made


def test_photos_enter_at_the_size_of_their_files(tmp_path: Path, photos: list[np.ndarray]) -> None:
    dataset = open_dataset("ade20k", "val", (16, 16), tmp_path)
    found = features_of_originals(scorer(dataset, 3), distance()).features
    assert found is not None
    expected = [[*size, photo.mean() / 255] for size, photo in zip(SIZES, photos, strict=True)]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)  # a mean in float32
    fewer = features_of_originals(scorer(dataset, 2), distance()).features
    assert fewer is not None
    assert torch.equal(fewer, found[:2])


def test_a_dataset_without_photo_files_is_refused() -> None:
    dataset = Scenes("val", (64, 64), length=1)
    with pytest.raises(UserError, match=r"has no photo files, .*choose another --profile"):
        features_of_originals(scorer(dataset, 1), distance())
