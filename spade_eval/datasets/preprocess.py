# SPDX-License-Identifier: Apache-2.0
"""Resizing, cropping and flipping of samples as the SPADE release does it.

Photos are resized by Pillow's bicubic filter, label and instance maps by its nearest neighbour, and
all three get one and the same crop and flip. The modes are those of the release's option
`preprocess_mode`; `scale_shortside` keeps the release's behaviour, which lets the short side be.
Scores use `evaluation`: a plain resize, aspect ratio not kept. Training uses `training`: resize
to 286/256 of the size, one random crop, one random flip (Park et al., CVPR 2019, released code).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spade_eval.errors import lookup
from spade_eval.models.labels import Size
from spade_eval.models.positions import mirrored

PREPROCESS_VERSION = 1
"""Part of every dataset fingerprint: raise it with any change that alters a pixel."""

Pixels = TypeVar("Pixels", np.uint8, np.int32, np.float32)


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where a crop lies in the resized sample and whether it is mirrored left to right."""

    top: int = 0
    left: int = 0
    flip: bool = False


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """One way from files to network input; `apply_*` are pure functions of array and placement."""

    mode: str
    load_size: Size  # what the resize aims at, in the modes that scale
    crop_size: Size  # what a crop cuts out; the whole result in mode "fixed"

    def __post_init__(self) -> None:
        lookup(PREPROCESS_MODES, self.mode, "preprocess mode")

    def resized(self, original: Size) -> Size:
        """Return the size before the crop."""
        return PREPROCESS_MODES[self.mode].resized(original, self)

    def draw(self, original: Size, generator: np.random.Generator) -> Placement:
        """Draw a uniform crop position and a fair flip for a sample of size `original`."""
        height, width = self.resized(original)
        top = generator.integers(max(0, height - self.crop_size[0]) + 1)
        left = generator.integers(max(0, width - self.crop_size[1]) + 1)
        return Placement(top=int(top), left=int(left), flip=bool(generator.integers(2)))

    def apply_photo(self, photo: NDArray[np.uint8], placement: Placement) -> NDArray[np.uint8]:
        """Place a photo: (H, W, 3) uint8 -> (H', W', 3) uint8, bicubic."""
        size = self.resized((photo.shape[0], photo.shape[1]))
        return self._place(_resized_by_pillow(photo, size, Image.Resampling.BICUBIC), placement)

    def apply_map(self, ids: NDArray[Pixels], placement: Placement) -> NDArray[Pixels]:
        """Place (H, W) label or instance ids -> (H', W'), nearest: never an invented id."""
        size = self.resized((ids.shape[0], ids.shape[1]))
        return self._place(_resized_by_pillow(ids, size, Image.Resampling.NEAREST), placement)

    def apply_positions(
        self, positions: NDArray[np.float32], placement: Placement
    ) -> NDArray[np.float32]:
        """Place a positional map: (2, H, W) -> (2, H', W'), pixel for pixel as the label map.

        Of a mirrored sample it is that of the mirrored label map.
        """
        upright = replace(placement, flip=False)
        placed = np.stack([self.apply_map(offsets, upright) for offsets in positions])
        return mirrored(placed) if placement.flip else placed

    def _place(self, array: NDArray[Pixels], placement: Placement) -> NDArray[Pixels]:
        if PREPROCESS_MODES[self.mode].crops:
            array = _cropped(array, placement, self.crop_size)
        return np.ascontiguousarray(array[:, ::-1] if placement.flip else array)


def evaluation(size: Size) -> Preprocessing:
    """Return the sample as it is scored."""
    return Preprocessing(mode="fixed", load_size=size, crop_size=size)


def training(size: Size) -> Preprocessing:
    """Return the sample as it is trained on: 286 to 256 pixels, other sizes in proportion."""
    height, width = ((286 * side + 128) // 256 for side in size)  # rounded, halves upwards
    return Preprocessing(mode="resize_and_crop", load_size=(height, width), crop_size=size)


def sample_generator(seed: int, epoch: int, index: int) -> np.random.Generator:
    """Return the random numbers of one training sample, whatever the order of loading."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, epoch, index))))


def _to_load_size(original: Size, settings: Preprocessing) -> Size:
    return settings.load_size


def _to_crop_size(original: Size, settings: Preprocessing) -> Size:
    return settings.crop_size


def _unchanged(original: Size, settings: Preprocessing) -> Size:
    return original


def _to_load_width(original: Size, settings: Preprocessing) -> Size:
    height, width = original
    return int(settings.load_size[1] * height / width), settings.load_size[1]


def _long_side_only(original: Size, settings: Preprocessing) -> Size:
    """Short side as it was, long side as if the short side had become `load_size`.

    A slip of the release, which distorts the sample; kept, because its checkpoints saw it.
    """
    height, width = original
    short, long = min(original), max(original)
    target = min(settings.load_size)
    if short == target:
        return original
    long = int(target * long / short)
    return (long, short) if width < height else (short, long)


def _to_multiples_of_32(original: Size, settings: Preprocessing) -> Size:
    height, width = original
    return round(height / 32) * 32, round(width / 32) * 32


@dataclass(frozen=True)
class PreprocessMode:
    resized: Callable[[Size, Preprocessing], Size]
    crops: bool


PREPROCESS_MODES: dict[str, PreprocessMode] = {
    "resize_and_crop": PreprocessMode(_to_load_size, crops=True),
    "crop": PreprocessMode(_unchanged, crops=True),
    "scale_width": PreprocessMode(_to_load_width, crops=False),
    "scale_width_and_crop": PreprocessMode(_to_load_width, crops=True),
    "scale_shortside": PreprocessMode(_long_side_only, crops=False),
    "scale_shortside_and_crop": PreprocessMode(_long_side_only, crops=True),
    "fixed": PreprocessMode(_to_crop_size, crops=False),
    "none": PreprocessMode(_to_multiples_of_32, crops=False),
}


def _resized_by_pillow(
    array: NDArray[Pixels], size: Size, resampling: Image.Resampling
) -> NDArray[Pixels]:
    height, width = size
    if array.shape[:2] == size:
        return array
    # int32 becomes Pillow's mode I, so instance ids of 16 bits and more pass unchanged.
    resized = Image.fromarray(array).resize((width, height), resampling)
    return np.asarray(resized, dtype=array.dtype)


def _cropped(array: NDArray[Pixels], placement: Placement, size: Size) -> NDArray[Pixels]:
    """Cut `size` out; what lies beyond the array is 0, in label maps too, as in the release."""
    top, left = placement.top, placement.left
    inside = array[top : top + size[0], left : left + size[1]]
    if inside.shape[:2] == size:
        return inside
    padded = np.zeros((*size, *array.shape[2:]), dtype=array.dtype)
    padded[: inside.shape[0], : inside.shape[1]] = inside
    return padded
