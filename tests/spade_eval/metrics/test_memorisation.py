# SPDX-License-Identifier: Apache-2.0
"""Copies are told from what resembles photos by chance."""

import pytest
import torch
from torch import Tensor

from spade_eval.metrics import memorisation
from spade_eval.metrics.base import ScoredSplit
from spade_eval.metrics.memorisation import (
    Memorisation,
    copied,
    mirrored,
    nearest,
    num_compared,
    thumbnails,
)


def _photos(count: int, seed: int) -> Tensor:
    """Smooth pictures, all different: (N, 3, 32, 32) uint8."""
    coarse = torch.rand(count, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    smooth = torch.nn.functional.interpolate(coarse, size=(32, 32), mode="bicubic")
    return (smooth.clamp(0, 1) * 255).to(torch.uint8)


TRAIN, VAL, OTHERS = _photos(300, 0), _photos(100, 1), _photos(100, 2)


def _shares(images: Tensor) -> dict[str, float]:
    return copied(thumbnails(images), thumbnails(VAL), thumbnails(TRAIN))


def test_photos_are_at_most_a_twentieth_and_others_about_as_many() -> None:
    assert 0.03 <= _shares(VAL)["memorised"] <= 0.05
    # 4 standard errors of 100 images, and the limit is itself estimated of 100 photos.
    assert _shares(OTHERS)["memorised"] <= 0.05 + 4 * 0.022
    assert _shares(OTHERS)["leaked"] == 0.0


@pytest.mark.parametrize(
    "changed",
    [
        lambda images: images,
        lambda images: images.flip(3),
        lambda images: images // 2 + 20,
        lambda images: torch.nn.functional.avg_pool2d(images.float(), 3, 1, 1).to(torch.uint8),
    ],
    ids=["exact", "mirrored", "another contrast", "blurred"],
)
def test_copies_of_training_photos_are_memorised(changed: object) -> None:
    assert callable(changed)
    shares = _shares(changed(TRAIN[:100]))
    assert shares["memorised"] == 1.0
    assert shares["leaked"] == 0.0


def test_the_photo_of_the_own_label_map_is_leaked_and_that_of_another_is_not() -> None:
    blurred = torch.nn.functional.avg_pool2d(VAL.float(), 3, 1, 1).to(torch.uint8)
    assert _shares(blurred)["leaked"] == 1.0
    assert _shares(VAL.roll(1, dims=0))["leaked"] == 0.0


def test_a_flat_picture_resembles_nothing() -> None:
    grey = torch.full_like(VAL, 128)
    assert torch.equal(thumbnails(grey), torch.zeros(len(VAL), 192))
    assert _shares(grey) == {"memorised": 0.0, "leaked": 0.0}


def test_distances_are_those_of_all_pairs() -> None:
    images, train = thumbnails(OTHERS).double(), thumbnails(TRAIN).double()
    plain = (images[:, None] - train[None]).square().sum(dim=2).min(dim=1).values
    assert torch.allclose(nearest(images, train), plain, atol=1e-12)


def test_mirrored_thumbnails_are_those_of_mirrored_photos() -> None:
    assert torch.allclose(mirrored(thumbnails(VAL)), thumbnails(VAL.flip(3)), atol=1e-6)


def test_without_training_photos_there_is_no_number() -> None:
    split = ScoredSplit(rows={})
    assert Memorisation().compute(split) == {"memorised": None, "leaked": None}


def test_what_is_compared_is_bounded() -> None:
    assert num_compared(500, 4_000) == 4_000
    assert num_compared(40, 4_000) == 320
    assert num_compared(5_000, 118_287) == memorisation.MOST_PHOTOS
