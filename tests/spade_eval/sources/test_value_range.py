# SPDX-License-Identifier: Apache-2.0
"""Ranges, types and sizes of strangers' images: what fits is exact, what does not is named."""

import numpy as np
import pytest
import torch
from PIL import Image

from spade_eval.errors import UserError
from spade_eval.sources.value_range import as_unit_range, declared, doubt_of_range

NAMES = ("a", "b")
BYTES = torch.arange(2 * 3 * 4 * 5, dtype=torch.uint8).reshape(2, 3, 4, 5)


def read(images: object, value_range: str = "uint8") -> torch.Tensor:
    return as_unit_range(images, declared(value_range, "g"), (4, 5), NAMES, "g")


@pytest.mark.parametrize(
    "images",
    [
        BYTES,
        BYTES.numpy(),
        BYTES.permute(0, 2, 3, 1),
        list(BYTES),
        [BYTES[0].numpy(), BYTES[1].permute(1, 2, 0)],
        [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in BYTES],
        BYTES.numpy().astype(">u1"),
    ],
)
def test_every_form_of_the_same_bytes_is_the_same(images: object) -> None:
    assert torch.equal(read(images), BYTES.float() / 255)


def test_ranges_mean_the_same_black_and_white() -> None:
    grey = torch.rand(2, 3, 4, 5)
    assert torch.equal(read(grey, "[0,1]"), grey)
    # 1 is added to numbers of [-1, 1]: one rounding of float32.
    assert torch.allclose(read(grey * 2 - 1, "[-1,1]"), grey, atol=2**-23)
    big_endian = grey.numpy().astype(">f4")
    assert torch.equal(read(big_endian, "[0,1]"), grey)


def test_what_bfloat16_rounds_beyond_one_is_clamped() -> None:
    images = torch.ones(2, 3, 4, 5, dtype=torch.bfloat16) + 2**-8
    assert read(images, "[0,1]").max() == 1


GREY = torch.full((2, 3, 4, 5), 0.5)


def second_wrong(value: float) -> torch.Tensor:
    images = GREY.clone()
    images[1, 0, 0, 0] = value
    return images


@pytest.mark.parametrize(
    ("images", "value_range", "told"),
    [
        (second_wrong(float("nan")), "[0,1]", "image for b holds NaN"),
        (second_wrong(float("inf")), "[-1,1]", "image for b holds NaN or infinite"),
        (second_wrong(-0.5), "[0,1]", r"image for b has values from -0.5 to 0.5, \[0,1\] was"),
        (second_wrong(1.3), "[-1,1]", r"image for b has values from 0.5 to 1.3, \[-1,1\] was"),
        (second_wrong(200.0), "[0,1]", "image for b has values from 0.5 to 200"),
        (GREY, "uint8", "image for a is of torch.float32, expected torch.uint8"),
        (BYTES, "[0,1]", r"image for a is of torch.uint8, expected floats in \[0,1\]"),
        (GREY[:1], "[0,1]", "1 images for 2 label maps.*without an image is b"),
        (torch.cat([GREY, GREY]), "[0,1]", "4 images for 2 label maps.*the last one is b"),
        ([GREY[0], GREY[1][:, :2]], "[0,1]", r"image for b is \(3, 2, 5\), expected \(3, 4, 5\)"),
        (GREY[0], "[0,1]", r"Tensor \(3, 4, 5\) instead of images"),
        (None, "[0,1]", "NoneType instead of images"),
        ([GREY[0], "b.png"], "[0,1]", "str instead of the image for b"),
        (BYTES.numpy().astype(np.int64), "uint8", "int64 instead of the image for a"),
        ([Image.new("L", (5, 4))] * 2, "uint8", "image for a is of mode L, expected RGB"),
    ],
)
def test_the_first_wrong_image_is_named(images: object, value_range: str, told: str) -> None:
    with pytest.raises(UserError, match=f"^g: .*{told}"):
        read(images, value_range)


@pytest.mark.parametrize("value_range", [None, "0-255", "[-1, 1]", 255])
def test_a_range_is_declared_in_one_of_three_words(value_range: object) -> None:
    with pytest.raises(UserError, match=r"expected one of '\[-1,1\]', '\[0,1\]', 'uint8'"):
        declared(value_range, "g")


def test_a_range_of_which_half_is_used_is_doubted() -> None:
    assert "no value lies below 0" in doubt_of_range("[-1,1]", 0.5, 1)
    assert doubt_of_range("[-1,1]", 0.49, 1) == ""
    assert "black" in doubt_of_range("[0,1]", 0, 1 / 255)
    assert doubt_of_range("uint8", 0, 0.5) == ""
