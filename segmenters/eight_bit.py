# SPDX-License-Identifier: Apache-2.0
"""8-bit images between the suite's [0, 1] and what a published network was trained on.

The published evaluation scripts resize the 8-bit image with Pillow or OpenCV, which round to whole
grey levels, and normalise afterwards. Scores depend on both, so images in [0, 1] are first turned
back into the 256 levels that they came from, which is exact for multiples of 1/255.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from spade_eval.models.labels import Size

_PILLOW_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


def to_bytes(images: Tensor) -> Tensor:
    """Map (N, 3, H, W) in [0, 1] -> (N, 3, H, W) uint8 on the same device."""
    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
        raise ValueError(
            f"images are {tuple(images.shape)} {images.dtype}, expected (N, 3, H, W) floats"
        )
    low, high = images.aminmax()
    if not (low >= 0 and high <= 1):  # NaN is refused too
        raise ValueError(
            f"images have values in [{low:.4g}, {high:.4g}], expected [0, 1]; "
            "convert [-1, 1] or 8-bit values first"
        )
    return (images * 255).round().to(torch.uint8)


class ByteNormalization(nn.Module):
    """8-bit RGB to a network's input, by a table of all 256 levels of each channel.

    The table holds what the published arithmetic gives, rounding included; it is a buffer outside
    the state dict, so it moves with the network and cannot drift from it.
    """

    table: Tensor

    def __init__(self, of_levels: Callable[[Tensor], Tensor], bgr: bool = False) -> None:
        """`of_levels` maps a float64 column 0..255 to (256, 3) in the network's channel order."""
        super().__init__()
        self.bgr = bgr
        # On the CPU even where a network is built on the meta device, which keeps no values.
        levels = torch.arange(256, dtype=torch.float64, device="cpu")[:, None]
        self.register_buffer("table", of_levels(levels).float().T.contiguous(), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, 3, H, W) uint8 RGB -> (N, 3, H, W) float32."""
        channels = images.flip(1) if self.bgr else images
        rows = [self.table[c][channels[:, c].long()] for c in range(3)]
        return torch.stack(rows, dim=1)


def minus_mean(
    mean: Sequence[float], dtype: torch.dtype = torch.float64
) -> Callable[[Tensor], Tensor]:
    """Return 0..255 minus a mean, subtracted in that precision and then rounded to float32."""
    return lambda levels: levels.to(dtype) - torch.tensor(mean, dtype=dtype, device="cpu")


def standardized(mean: Sequence[float], std: Sequence[float]) -> Callable[[Tensor], Tensor]:
    """Return (x / 255 - mean) / std, every step in float32."""
    mean_, std_ = (torch.tensor(values, device="cpu") for values in (mean, std))
    return lambda levels: (levels.float() / 255 - mean_) / std_


def resize_pillow(images: Tensor, size: Size, kind: Literal["bilinear", "bicubic"]) -> Tensor:
    """Resize (N, 3, H, W) uint8 -> (N, 3, *size) as Pillow does, antialiased when it shrinks."""
    height, width = size
    return _each(
        images,
        lambda image: np.asarray(
            Image.fromarray(image).resize((width, height), _PILLOW_FILTERS[kind])
        ),
    )


def resize_opencv(images: Tensor, size: Size) -> Tensor:
    """Resize (N, 3, H, W) uint8 -> (N, 3, *size) as OpenCV does linearly, never antialiased."""
    try:
        import cv2
    except ImportError as error:
        raise ValueError(
            f"this segmenter resizes images with OpenCV, which cannot be imported ({error}); "
            "install opencv-python-headless, or choose a segmenter that resizes with Pillow"
        ) from error
    height, width = size
    return _each(images, lambda image: cv2.resize(image, (width, height)))  # linear by default


def _each(
    images: Tensor,
    resize: Callable[[NDArray[np.uint8]], NDArray[Any]],
) -> Tensor:
    """Apply a function of (H, W, 3) arrays to every image of a batch."""
    arrays = images.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    resized = np.stack([resize(array) for array in arrays])
    return torch.from_numpy(resized).permute(0, 3, 1, 2).contiguous().to(images.device)
