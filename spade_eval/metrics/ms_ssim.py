# SPDX-License-Identifier: Apache-2.0
"""Multi-scale structural similarity (Wang, Simoncelli and Bovik, Asilomar 2003).

Contrast-structure of five scales and luminance of the coarsest, each to the power of the paper's
weights; Gaussian window of 11 pixels and deviation 1.5 without padding, K = (0.01, 0.03), halving
by averages of 2x2 pixels. What the paper leaves open is chosen as in the implementations in use:
colour channels apart, then averaged; negative values become 0 before the powers; an odd side is
continued by its last pixels before it is halved.

The coarsest of five scales of an image under 161 pixels a side does not hold the window. Fewer
scales are another number, so such images are refused.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from spade_eval.errors import UserError

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_WINDOW = 11
_DEVIATION = 1.5
_LUMINANCE_CONSTANT = 0.01**2  # times the square of the range of values, which is 1
_CONTRAST_CONSTANT = 0.03**2
LEAST_SIDE = (_WINDOW - 1) * 2 ** (len(SCALE_WEIGHTS) - 1) + 1


def ms_ssim(images: Tensor, others: Tensor) -> Tensor:
    """Compare two (N, C, H, W) in [0, 1], sides of 161 at least -> (N,) float64 in [0, 1]."""
    if images.shape != others.shape or images.ndim != 4 or not images.is_floating_point():
        raise ValueError(
            f"images are {tuple(images.shape)} and {tuple(others.shape)} {images.dtype}, expected "
            "two (N, C, H, W) floats"
        )
    if min(images.shape[-2:]) < LEAST_SIDE:
        height, width = images.shape[-2:]
        raise UserError(
            f"MS-SSIM of images of {height}x{width}: five scales need at least {LEAST_SIDE} pixels "
            "a side, and fewer scales are another number; use larger images or LPIPS"
        )
    # Variances are differences of nearly equal numbers.
    x, y = images.double(), others.double()
    similarity = x.new_ones(x.shape[:2])
    for scale, weight in enumerate(SCALE_WEIGHTS):
        if scale:
            x, y = _halved(x), _halved(y)
        luminance, contrast = _terms(x, y)
        is_coarsest = scale == len(SCALE_WEIGHTS) - 1
        term = (luminance * contrast if is_coarsest else contrast).mean(dim=(2, 3))
        similarity = similarity * term.clamp(min=0) ** weight
    return similarity.mean(dim=1)


def _terms(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Luminance and contrast-structure (their equations 1 to 3) at every place of the window."""
    mean_x, mean_y = _smoothed(x), _smoothed(y)
    variance_x = _smoothed(x * x) - mean_x.square()
    variance_y = _smoothed(y * y) - mean_y.square()
    covariance = _smoothed(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + _LUMINANCE_CONSTANT) / (
        mean_x.square() + mean_y.square() + _LUMINANCE_CONSTANT
    )
    contrast = (2 * covariance + _CONTRAST_CONSTANT) / (
        variance_x + variance_y + _CONTRAST_CONSTANT
    )
    return luminance, contrast


def _smoothed(x: Tensor) -> Tensor:
    """Weight by the Gaussian window, (N, C, H, W) -> (N, C, H - 10, W - 10)."""
    places = torch.arange(_WINDOW, dtype=x.dtype, device=x.device) - _WINDOW // 2
    window = (-places.square() / (2 * _DEVIATION**2)).exp()
    window = window / window.sum()
    flat = x.flatten(0, 1)[:, None]
    columns = F.conv2d(flat, window.view(1, 1, -1, 1))
    rows = F.conv2d(columns, window.view(1, 1, 1, -1))
    return rows.view(*x.shape[:2], *rows.shape[-2:])


def _halved(x: Tensor) -> Tensor:
    height, width = x.shape[-2:]
    even = F.pad(x, (0, width % 2, 0, height % 2), mode="replicate")
    return F.avg_pool2d(even, 2)
