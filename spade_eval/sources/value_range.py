# SPDX-License-Identifier: Apache-2.0
"""Images of strangers as tensors: shape, size and values are declared and checked, never guessed.

A generator of [-1, 1] that is read as [0, 1] loses its dark half and still gets a score, so that
nothing here looks at values to find out what they mean.
"""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from spade_eval.datasets.files import text_of_size
from spade_eval.errors import UserError
from spade_eval.models.labels import Size

ValueRange = Literal["[-1,1]", "[0,1]", "uint8"]
"""What an image's values mean: float from black to white, or 8-bit integers."""
VALUE_RANGES: tuple[ValueRange, ...] = get_args(ValueRange)
_BLACK = {"[-1,1]": -1.0, "[0,1]": 0.0}
# What bfloat16 may round beyond 1 (8 bits of precision): a level of 255. It is clamped.
_ROUNDING = 1 / 255


def declared(value_range: object, whose: str) -> ValueRange:
    """Return a declared range; `UserError` where there is none, or another."""
    for known in VALUE_RANGES:
        if value_range == known:
            return known
    found = "no value range is declared" if value_range is None else f"value range {value_range!r}"
    raise UserError(
        f"{whose}: {found}; expected one of {', '.join(map(repr, VALUE_RANGES))} as value_range="
    )


def as_unit_range(
    images: object, value_range: ValueRange, size: Size, names: Sequence[str], whose: str
) -> Tensor:
    """Map images for these label maps to (N, 3, H, W) float32 in [0, 1].

    Tensor or array (N, 3, H, W) or (N, H, W, 3), or a sequence of single ones or PIL images, with
    values of the declared range. `UserError` names the first label map whose image is missing, of
    another size or type, not finite or out of range.
    """
    parts = _single(images, whose)
    if len(parts) != len(names):
        told = f"the last one is {names[-1]}"
        if len(parts) < len(names):
            told = f"the first one without an image is {names[len(parts)]}"
        raise UserError(
            f"{whose}: {len(parts)} images for {len(names)} label maps, expected one each; {told}"
        )
    made = [
        _checked(_tensor(part, name, whose), value_range, size, name, whose)
        for part, name in zip(parts, names, strict=True)
    ]
    return torch.stack(made)


def _single(images: object, whose: str) -> Sequence[Any]:
    """Return images one by one."""
    if isinstance(images, Tensor | np.ndarray) and images.ndim == 4:
        return images  # type: ignore[return-value]
    if isinstance(images, list | tuple):
        return images
    shape = tuple(getattr(images, "shape", ()))
    what = f"{type(images).__name__} {shape}" if shape else type(images).__name__
    raise UserError(
        f"{whose}: {what} instead of images; expected a tensor (N, 3, H, W), or a list of them"
    )


def _tensor(image: Any, name: str, whose: str) -> Tensor:
    if isinstance(image, Image.Image):
        if image.mode != "RGB":
            raise UserError(
                f"{whose}: the image for {name} is of mode {image.mode}, expected RGB; convert it"
            )
        image = np.array(image)
    if isinstance(image, np.ndarray) and image.dtype.kind in "fu":
        image = torch.from_numpy(np.ascontiguousarray(image.astype(image.dtype.newbyteorder("="))))
    if not isinstance(image, Tensor):
        kind = getattr(image, "dtype", type(image).__name__)
        raise UserError(
            f"{whose}: {kind} instead of the image for {name}; expected a tensor, array or PIL "
            "image of floats or 8-bit integers"
        )
    return image.detach()


def _checked(image: Tensor, value_range: ValueRange, size: Size, name: str, whose: str) -> Tensor:
    """Return (3, H, W) float32 in [0, 1]."""
    if tuple(image.shape) == (*size, 3):
        image = image.permute(2, 0, 1)
    if tuple(image.shape) != (3, *size):
        raise UserError(
            f"{whose}: the image for {name} is {tuple(image.shape)}, expected (3, {size[0]}, "
            f"{size[1]}): images are scored as they are, so make them of {text_of_size(size)}"
        )
    if value_range == "uint8":
        if image.dtype != torch.uint8:
            raise _wrong_type(image, "torch.uint8, 0 to 255", name, whose)
        return image.float() / 255
    if not image.is_floating_point():
        raise _wrong_type(image, f"floats in {value_range}", name, whose)
    image = image.float()
    if not torch.isfinite(image).all():
        raise UserError(
            f"{whose}: the image for {name} holds NaN or infinite values, expected numbers in "
            f"{value_range}; look at the generator's weights and precision"
        )
    black = _BLACK[value_range]
    scaled = (image - black) / (1 - black)
    if scaled.min() < -_ROUNDING or scaled.max() > 1 + _ROUNDING:
        raise UserError(
            f"{whose}: the image for {name} has values from {image.min():.4g} to "
            f"{image.max():.4g}, {value_range} was declared; declare another value_range, or clamp "
            "them"
        )
    return scaled.clamp(0, 1)


def _wrong_type(image: Tensor, expected: str, name: str, whose: str) -> UserError:
    return UserError(
        f"{whose}: the image for {name} is of {image.dtype}, expected {expected}, as declared"
    )


def doubt_of_range(value_range: ValueRange, darkest: float, brightest: float) -> str:
    """Say where the images of a whole row look as if another range were meant; "" if not.

    `darkest` and `brightest` are in [0, 1].
    """
    if value_range == "[-1,1]" and darkest >= 0.5:
        return "no value lies below 0 though [-1,1] is declared; if [0,1] is meant, say so"
    if brightest <= 1 / 255:
        return f"every image is black, read as {value_range}; were its values divided by 255 twice?"
    return ""
