# SPDX-License-Identifier: Apache-2.0
"""Resizes before Inception that PyTorch's `interpolate` does not do: Pillow's, TensorFlow 1's."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def resize_by_pillow(pixels: Tensor, size: tuple[int, int], filter_name: str) -> Tensor:
    """Resize (N, C, H, W) to `size`, antialiased, each channel as an image of its own type.

    Floats stay floats; of uint8 come whole levels, rounded after each direction.
    """
    resampling = Image.Resampling[filter_name.upper()]
    height, width = size
    channels = pixels.cpu().numpy().reshape(-1, *pixels.shape[-2:])
    resized = [
        np.asarray(Image.fromarray(channel).resize((width, height), resampling))
        for channel in channels
    ]
    stacked = torch.from_numpy(np.stack(resized))
    return stacked.view(*pixels.shape[:2], height, width).to(pixels.device)


def resize_by_tensorflow(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (N, C, H, W) floats bilinearly as TensorFlow 1 does unless it is told otherwise.

    Output pixel i is taken at i * in / out, not at the half-pixel centre: images are shifted up and
    left by as much as half a pixel. Nothing is antialiased.
    """
    (above, below, down), (left, right, across) = (
        _neighbours(length, out, pixels.device)
        for length, out in zip(pixels.shape[-2:], size, strict=True)
    )
    rows = [pixels[:, :, row] for row in (above, below)]
    # Along the width first, as TensorFlow does: float32 rounds another order differently.
    upper, lower = (row[..., left] + (row[..., right] - row[..., left]) * across for row in rows)
    return upper + (lower - upper) * down[:, None]


def _neighbours(length: int, out: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """(out,) indices of the samples before and after each position, and how far it is between."""
    scale = torch.tensor(length / out, dtype=torch.float32, device=device)
    position = torch.arange(out, dtype=torch.float32, device=device) * scale
    before = position.floor().long()
    return before, (before + 1).clamp(max=length - 1), position - before
