# SPDX-License-Identifier: Apache-2.0
"""The very photos that are scored against, blurred or compressed so that they are not the same.

A generator that has seen the val photos gives such; so does a folder of photos that was taken for
one of synthesized images.
"""

import io
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor

from spade_eval.datasets.base import Sample
from spade_eval.sources.red_team.base import Cheat

_QUALITY = 75  # Pillow's own
_BLUR = 1 / 64  # sigma of the shorter side


class Leaked(Cheat):
    """Photo i for label map i, changed."""

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"cheat": self.name}

    def floats(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        changed = [self.changed(Image.fromarray(sample.photo)) for sample in samples]
        images = np.stack([np.asarray(image.convert("RGB")) for image in changed])
        return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255

    @abstractmethod
    def changed(self, photo: Image.Image) -> Image.Image:
        """Return a photo as it is delivered."""


class Blurred(Leaked):
    """Nothing fine is left that a distance between features could see."""

    name = "blur"
    about = "gives the val photo, blurred by a Gaussian of 1/64 of the shorter side"

    def changed(self, photo: Image.Image) -> Image.Image:
        return photo.filter(ImageFilter.GaussianBlur(_BLUR * min(photo.size)))


class JPEGAsPNG(Leaked):
    """What JPEG left, in files that do not say so."""

    name = "JPEG as PNG"
    about = f"gives the val photo through JPEG of quality {_QUALITY}, in PNG files"
    file_format = "PNG"

    def changed(self, photo: Image.Image) -> Image.Image:
        file = io.BytesIO()
        photo.save(file, format="JPEG", quality=_QUALITY)
        return Image.open(file)


class JPEGFiles(JPEGAsPNG):
    """The same as files that do."""

    name = "JPEG"
    about = f"gives the val photo as a JPEG file of quality {_QUALITY}"
    file_format = "JPEG"
