# SPDX-License-Identifier: Apache-2.0
"""The ways in which published FIDs were computed, one named profile each.

FIDs of two profiles differ by far more than two methods do, so a value without its profile means
nothing and two profiles never share a column. A profile fixes the network and its weights, how an
image is resized and scaled before it, which images of a folder are used, and the arithmetic of the
statistics. Read from the code of pytorch-fid at the dates given, of OASIS (Sushko et al., ICLR
2021), of clean-fid (Parmar et al., CVPR 2022) and of torch-fidelity (Obukhov et al., 2020).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from spade_eval.metrics.fid_resize import resize_by_pillow, resize_by_tensorflow
from spade_eval.metrics.float32_distance import float32_distance
from spade_eval.metrics.frechet import frechet_distance
from spade_eval.metrics.inception_network import FEATURE_DIM, InceptionGraph
from spade_eval.metrics.moments import FeatureMoments
from spade_eval.weights import INCEPTION, INCEPTION_IMAGENET, WeightFile

INPUT_SIZE = (299, 299)
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
# Steps of 1/255: float32 images of 8-bit levels are within 2e-5 of a level.
_LEVEL_TOLERANCE = 1e-3
Scaling = Literal["2x - 1", "(x - 128) / 128", "ImageNet to 0.5"]


@dataclass(frozen=True, kw_only=True)
class FIDProfile:
    """Everything that makes an FID; `network_input` and `distance` apply it."""

    description: str
    weights: WeightFile
    network: InceptionGraph
    # To which images are resized first, as 8 bit by Pillow's bicubic filter; None: not at all.
    first_size: tuple[int, int] | None = None
    # The resize to 299x299: by PyTorch, or, antialiased, by Pillow, each channel in floats and
    # clipped to the range of a pixel.
    filter: Literal["bilinear", "bicubic"] = "bilinear"
    antialias: bool = False
    align_corners: bool = False
    half_pixel_centres: bool = True  # if not, by TensorFlow 1's bilinear resize
    white: Literal[1, 255] = 1  # the largest value of a pixel when it is resized
    scaling: Scaling = "2x - 1"
    # Whether images are files of 8 bit; if not, the generator's floats are scored.
    eight_bit: bool = True
    # The last images that do not fill a batch of this size are left out.
    batch_of_images: int = 1
    statistics: Literal["float64", "float32"] = "float64"

    def used_images(self, count: int) -> int:
        """Return how many of `count` images enter, the first ones; all where they fill no batch."""
        if count < self.batch_of_images:
            return count
        return count - count % self.batch_of_images

    def network_input(self, images: Tensor) -> Tensor:
        """Turn (N, 3, H, W) uint8, or floats in [0, 1], into (N, 3, 299, 299) float32.

        A profile of 8-bit files refuses floats between two levels.
        """
        pixels = unit_range(images, self.eight_bit)
        if self.first_size is not None:
            levels = (pixels * 255).round().to(torch.uint8)
            pixels = resize_by_pillow(levels, self.first_size, "bicubic").float() / 255
        if self.white == 255:
            pixels = (pixels * 255).round() if self.eight_bit else pixels * 255
        if self.antialias:
            pixels = resize_by_pillow(pixels, INPUT_SIZE, self.filter).clamp(0, self.white)
        elif not self.half_pixel_centres:
            pixels = resize_by_tensorflow(pixels, INPUT_SIZE)
        else:
            pixels = F.interpolate(
                pixels, INPUT_SIZE, mode=self.filter, align_corners=self.align_corners
            )
        return _SCALINGS[self.scaling](pixels)

    def notes(self, num_reference: int, num_synthesized: int) -> tuple[str, ...]:
        """Say what must accompany an FID of so many images a side, before dropping any."""
        counts = (num_reference, num_synthesized)
        used = tuple(self.used_images(count) for count in counts)
        notes = []
        if used != counts:
            notes.append(
                f"This profile leaves out the images that fill no batch of {self.batch_of_images}: "
                f"{used[0]} of {counts[0]} reference and {used[1]} of {counts[1]} synthesized "
                "images were used."
            )
        if min(used) <= FEATURE_DIM:
            notes.append(
                f"FID of {used[1]} images against {used[0]} is biased upward: the covariance of "
                f"{FEATURE_DIM:,} features is rank deficient up to {FEATURE_DIM:,} images; compare "
                "only values with the same numbers of images."
            )
            if self.statistics == "float32":
                notes.append(
                    "Its statistics are of float32, as in the original, which lowers a rank "
                    "deficient FID by several units, other versions of SciPy by another amount."
                )
        return tuple(notes)

    def distance(self, real: FeatureMoments, synthesized: FeatureMoments) -> float:
        """Compute the FID of two sets of features of this profile."""
        if self.statistics == "float32":
            return float32_distance(real, synthesized)
        return frechet_distance(real, synthesized)


FID_PROFILES: dict[str, FIDProfile] = {
    "pytorch-fid": FIDProfile(
        description="pytorch-fid since 2019-05-27, all images since 2020-02-01",
        weights=INCEPTION,
        network="tensorflow-2015",
    ),
    "pytorch-fid-256": FIDProfile(
        description="pytorch-fid of images and photos that were first made 256x256 (FreestyleNet)",
        weights=INCEPTION,
        network="tensorflow-2015",
        first_size=(256, 256),
    ),
    # The two before TensorFlow's weights were ported. In PyTorch 0.3 and 0.4.0 the average pools
    # of this network left padding out by a fault (pytorch#8644); these are the profiles of 0.4.1
    # and later. torchvision has published its file anew since, readable on every device.
    "legacy-2019a": FIDProfile(
        description="pytorch-fid from 2019-02-16 to 2019-05-26",
        weights=INCEPTION_IMAGENET,
        network="torchvision",
        batch_of_images=50,
    ),
    "legacy-2018": FIDProfile(
        description="pytorch-fid before 2019-02-16",
        weights=INCEPTION_IMAGENET,
        network="torchvision",
        scaling="ImageNet to 0.5",
        batch_of_images=64,
    ),
    # The original runs a TorchScript file of the same graph; the ported weights stand for it.
    "clean-fid": FIDProfile(
        description="clean-fid 0.1.35, mode clean",
        weights=INCEPTION,
        network="tensorflow-2015",
        filter="bicubic",
        antialias=True,
        white=255,
        scaling="(x - 128) / 128",
    ),
    # The input of the original FID: its graph begins with TensorFlow 1's resize of 0..255.
    "torch-fidelity": FIDProfile(
        description="torch-fidelity 0.4.0, and the TensorFlow code of FID (Heusel et al., 2017)",
        weights=INCEPTION,
        network="tensorflow-2015",
        half_pixel_centres=False,
        white=255,
        scaling="(x - 128) / 128",
    ),
    # Its originals are val photos, resized by Pillow bicubic to the generated size.
    "oasis-train": FIDProfile(
        description="OASIS while it trains, by which its checkpoints were chosen",
        weights=INCEPTION,
        network="tensorflow-2015",
        eight_bit=False,
        statistics="float32",
    ),
}


def unit_range(images: Tensor, eight_bit: bool) -> Tensor:
    """Return (N, 3, H, W) uint8, or floats in [0, 1], as float32 in [0, 1]."""
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"images are {tuple(images.shape)}, expected (N, 3, H, W)")
    if images.dtype == torch.uint8:
        return images.float() / 255
    if not images.is_floating_point():
        raise ValueError(f"images are {images.dtype}, expected uint8 or floats in [0, 1]")
    low, high = images.aminmax()
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"images have values in [{low:.4g}, {high:.4g}], expected [0, 1]; "
            "convert the generator's [-1, 1] or 8-bit values first"
        )
    pixels = images.float()
    if not eight_bit:
        return pixels
    levels = (pixels * 255).round()
    if (pixels * 255 - levels).abs().max() > _LEVEL_TOLERANCE:
        raise ValueError(
            "images have values between two levels of 8 bit, expected those of image files; "
            "make them 8 bit first, or use profile oasis-train, which scores floats"
        )
    return levels / 255


def _to_symmetric(pixels: Tensor) -> Tensor:
    return 2 * pixels - 1


def _to_tensorflow(pixels: Tensor) -> Tensor:
    return (pixels - 128) / 128


def _imagenet_to_half(pixels: Tensor) -> Tensor:
    """Takes [0, 1] for standardised by ImageNet's mean and deviation, which it was not."""
    factor = pixels.new_tensor([deviation / 0.5 for deviation in _IMAGENET_DEVIATION])
    offset = pixels.new_tensor([(mean - 0.5) / 0.5 for mean in _IMAGENET_MEAN])
    return pixels * factor.view(3, 1, 1) + offset.view(3, 1, 1)


_SCALINGS: dict[Scaling, Callable[[Tensor], Tensor]] = {
    "2x - 1": _to_symmetric,
    "(x - 128) / 128": _to_tensorflow,
    "ImageNet to 0.5": _imagenet_to_half,
}
