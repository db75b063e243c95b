# SPDX-License-Identifier: Apache-2.0
"""Ladders of corruptions of photos, each step worse than the one before.

What a distance between sets of images sees of them is a property of its features (Heusel et al.,
NeurIPS 2017, Fig. 3, did the same for FID).
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter

Pixels = NDArray[np.uint8]  # (H, W, 3) RGB
Corruption = Callable[[Pixels, np.random.Generator], Pixels]


@dataclass(frozen=True)
class Step:
    """One corruption of every photo."""

    ladder: str
    strength: str
    apply: Corruption

    @property
    def title(self) -> str:
        return f"{self.ladder} {self.strength}"


def blurred(radius: float) -> Corruption:
    """A Gaussian of that standard deviation, in pixels."""
    return lambda photo, _: np.array(
        Image.fromarray(photo).filter(ImageFilter.GaussianBlur(radius))
    )


def noisy(deviation: float) -> Corruption:
    """Independent normal noise, in levels of 255."""

    def corrupt(photo: Pixels, numbers: np.random.Generator) -> Pixels:
        noise = numbers.normal(0, deviation, photo.shape)
        return np.clip(np.rint(photo + noise), 0, 255).astype(np.uint8)

    return corrupt


def compressed(quality: int) -> Corruption:
    """JPEG of that quality and back."""

    def corrupt(photo: Pixels, _: np.random.Generator) -> Pixels:
        file = io.BytesIO()
        Image.fromarray(photo).save(file, "JPEG", quality=quality)
        return np.array(Image.open(file).convert("RGB"))

    return corrupt


def shuffled(side: int) -> Corruption:
    """The photo cut into side x side tiles, which change places; a rest below and right stays."""

    def corrupt(photo: Pixels, numbers: np.random.Generator) -> Pixels:
        height, width = photo.shape[0] // side, photo.shape[1] // side
        places = [(y * height, x * width) for y in range(side) for x in range(side)]
        made = photo.copy()
        for (top, left), source in zip(places, numbers.permutation(len(places)), strict=True):
            y, x = places[source]
            made[top : top + height, left : left + width] = photo[y : y + height, x : x + width]
        return made

    return corrupt


def faded(saturation: float) -> Corruption:
    """Colours of that share of their saturation."""
    return lambda photo, _: np.array(ImageEnhance.Color(Image.fromarray(photo)).enhance(saturation))


STEPS: Sequence[Step] = (
    *(Step("blur", f"{radius:g}", blurred(radius)) for radius in (0.5, 1, 2, 4)),
    *(Step("noise", f"{level}", noisy(level)) for level in (5, 10, 25, 50)),
    *(Step("JPEG", f"{quality}", compressed(quality)) for quality in (75, 30, 10, 5)),
    *(Step("shuffle", f"{side}x{side}", shuffled(side)) for side in (2, 4, 8)),
    *(Step("saturation", f"{share:g}", faded(share)) for share in (0.6, 0.3, 0)),
)
