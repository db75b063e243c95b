# SPDX-License-Identifier: Apache-2.0
"""Images come back as the 8-bit levels that they were, and are resized as Pillow and OpenCV do."""

import builtins
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from spade_eval.segmenters.drn import resize_float
from spade_eval.segmenters.eight_bit import (
    ByteNormalization,
    minus_mean,
    resize_opencv,
    resize_pillow,
    standardized,
    to_bytes,
)

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def pixels(height: int = 40, width: int = 56, count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (count, 3, height, width)
    return torch.randint(256, shape, generator=generator, dtype=torch.uint8)


def test_all_levels_come_back() -> None:
    levels = torch.arange(256, dtype=torch.uint8).expand(1, 3, 1, 256)
    for scaled in (levels.float() / 255, levels.float() * (1 / 255), levels.double() / 255):
        assert torch.equal(to_bytes(scaled), levels)


@pytest.mark.parametrize(
    "images",
    [
        torch.rand(1, 3, 4, 4) - 0.5,
        torch.rand(1, 3, 4, 4) + 0.5,
        torch.full((1, 3, 4, 4), torch.nan),
        torch.rand(3, 4, 4),
        torch.rand(1, 1, 4, 4),
        torch.ones(1, 3, 4, 4, dtype=torch.uint8),
    ],
)
def test_other_images_are_refused(images: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"expected (\(N, 3, H, W\) floats|\[0, 1\])"):
        to_bytes(images)


def test_normalization_has_the_rounding_of_the_formula() -> None:
    levels = pixels()
    rgb = (levels.float() / 255 - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[
        :, None, None
    ]
    assert torch.equal(ByteNormalization(standardized(MEAN, STD))(levels), rgb)
    mean = torch.tensor((104.008, 116.669, 122.675), dtype=torch.float64)[:, None, None]
    bgr = (levels.flip(1).double() - mean).float()
    network_input = ByteNormalization(minus_mean((104.008, 116.669, 122.675)), bgr=True)(levels)
    assert torch.equal(network_input, bgr)


def test_normalization_survives_the_meta_device_and_is_not_in_the_state_dict() -> None:
    with torch.device("meta"):
        module = ByteNormalization(standardized(MEAN, STD))
    assert module.table.device.type == "cpu"
    assert not module.state_dict()


@pytest.mark.parametrize("kind", ["bilinear", "bicubic"])
def test_pillow(kind: Any) -> None:
    images = pixels()
    resized = resize_pillow(images, (30, 70), kind)
    for image, found in zip(images, resized, strict=True):
        array = Image.fromarray(image.permute(1, 2, 0).numpy())
        expected = np.asarray(array.resize((70, 30), Image.Resampling[kind.upper()]))
        assert np.array_equal(found.permute(1, 2, 0).numpy(), expected)


def test_opencv_does_not_antialias() -> None:
    pytest.importorskip("cv2", reason="OpenCV cannot be imported")
    images = pixels(40, 80)
    halved = resize_opencv(images, (20, 40)).double()
    blocks = torch.nn.functional.avg_pool2d(images.double(), 2)
    # Halving with half-pixel centres weighs the four pixels of a block alike.
    assert (halved - blocks).abs().max() <= 1
    quarter = resize_opencv(images, (10, 20)).double()
    centres = torch.nn.functional.avg_pool2d(images.double()[..., 1:-1, 1:-1], 2, stride=4)
    assert (quarter - centres).abs().max() <= 1


def test_missing_opencv_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_cv2(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "cv2":
            raise ImportError("libGL.so.1 is missing")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_cv2)
    with pytest.raises(ValueError, match=r"^[^\n]*libGL.so.1[^\n]*Pillow[^\n]*$"):
        resize_opencv(pixels(), (20, 20))


@pytest.mark.parametrize("size", [(20, 24), (24, 40), (70, 90), (40, 56)])
def test_float_maps_are_resized_as_pillow_does(size: tuple[int, int]) -> None:
    maps = torch.randn(2, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    found = resize_float(maps, size)
    for n in range(2):
        for c in range(3):
            image = Image.fromarray(maps[n, c].numpy())
            expected = np.asarray(image.resize(size[::-1], Image.Resampling.BILINEAR))
            # Both compute in float64; Pillow rounds to float32 between rows and columns.
            assert np.abs(found[n, c].numpy() - expected).max() < 1e-6
