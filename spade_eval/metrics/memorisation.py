# SPDX-License-Identifier: Apache-2.0
"""How many images are copies, of training photos or of the val photos themselves.

A thumbnail is the means of 8x8 cells, without the picture's mean and contrast, of length 1: what
blur, noise, JPEG and other colours leave of a copy. No network is asked, so none can be deceived.
The limit is the distance to the nearest training photo, mirrored or not, that 1 in 20 val photos
stay below. An image below it is *memorised*: 5% of photos are by definition, and about as many
images that copy nothing. One that is as near to the val photo of its own label map, whose colours
no label map tells, is *leaked*.
"""

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from spade_eval.metrics.base import Column, Metric, ScoredBatch, ScoredSplit, Values
from spade_eval.metrics.neighbours import squared_distances

GRID = 8
BY_CHANCE = 0.05
MOST_PHOTOS = 5_000
"""Training photos that are looked at, the first ones: 8 an image, up to so many."""
_PER_IMAGE = 8
_SLACK = 1e-9
_PICTURE = 0.5  # length of a thumbnail below which it is that of a flat image, a copy of nothing
_FLAT = 1e-3  # contrast below which nothing is left to compare


class Memorisation(Metric):
    """Shares of images that are nearer to a photo than photos are to each other."""

    columns: ClassVar = {
        "memorised": Column(
            label="memorised",
            unit="%",
            larger_is_better=False,
            description="images nearer to a training photo than 95% of the val photos are",
        ),
        "leaked": Column(
            label="leaked",
            unit="%",
            larger_is_better=False,
            description="images as near to the val photo of their own label map",
        ),
    }

    def update(self, batch: ScoredBatch) -> None:
        self.keep(
            batch,
            thumbnails=thumbnails(batch.images),
            photo_thumbnails=thumbnails(batch.photos),
        )

    def compute(self, split: ScoredSplit) -> Values:
        if split.train_thumbnails is None:
            return dict.fromkeys(self.columns)
        images, photos = split.rows["thumbnails"], split.rows["photo_thumbnails"]
        return {**copied(images, photos, split.train_thumbnails)}


def num_compared(num_images: int, num_train: int) -> int:
    """Return how many training photos are looked at, the first ones."""
    return min(num_train, _PER_IMAGE * num_images, MOST_PHOTOS)


def thumbnails(images: Tensor) -> Tensor:
    """Map (N, 3, H, W) uint8 -> (N, 192) float32 of length 1, or 0 where a picture is flat."""
    cells = F.adaptive_avg_pool2d(images.float() / 255, GRID).flatten(1)
    cells = cells - cells.mean(dim=1, keepdim=True)
    return cells / (cells.norm(dim=1, keepdim=True) + _FLAT)


def copied(images: Tensor, photos: Tensor, train: Tensor) -> dict[str, float]:
    """Compute both shares in [0, 1]; `photos` are those of the images' label maps; (N, D) each.

    The limit is the largest of the lowest 5% of the photos' distances, so that at most 5% of the
    photos themselves are below it.
    """
    both = torch.cat([train, mirrored(train)])
    of_photos = nearest(photos, both).sort().values
    limit = of_photos[max(0, math.ceil(BY_CHANCE * len(photos)) - 1)]
    limit = limit * (1 - _SLACK)  # rounding must not decide about photos at the limit itself
    own = (images.double() - photos.double()).square().sum(dim=1)
    is_picture = images.norm(dim=1) > _PICTURE
    return {
        "memorised": _share(is_picture & (nearest(images, both) < limit)),
        "leaked": _share(is_picture & (own < limit)),
    }


def _share(which: Tensor) -> float:
    return which.double().mean().item()


def mirrored(small: Tensor) -> Tensor:
    """Mirror (N, 192) thumbnails left to right, as training samples may be."""
    return small.unflatten(1, (3, GRID, GRID)).flip(3).flatten(1)


def nearest(images: Tensor, train: Tensor) -> Tensor:
    """Return (N,) squared distances to the nearest of `train`, in float64."""
    return torch.cat([chunk.min(dim=1).values for chunk in squared_distances(images, train)])
