# SPDX-License-Identifier: Apache-2.0
"""How JPEG files were encoded, and photos through the same encoding: what it costs is measured."""

import functools
import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile, get_sampling

from spade_eval.datasets.files import header_of

Tables = tuple[tuple[int, ...], ...]
_SAMPLINGS = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}  # by Pillow's number; others encode as 4:2:0
_USUAL = 2


@dataclass(frozen=True)
class JPEGEncoding:
    """Quantisation tables and the sampling of colour: all that decides what is lost."""

    tables: Tables  # of 64 numbers each, in natural order
    sampling: int

    @property
    def sha256(self) -> str:
        """Identify it."""
        return hashlib.sha256(repr((self.tables, self.sampling)).encode()).hexdigest()

    @property
    def name(self) -> str:
        """Name it: by libjpeg's quality, or by its hash where the tables are others."""
        quality = _qualities().get(self.tables)
        return f"JPEG {self.sha256[:6] if quality is None else quality}"

    @property
    def described(self) -> str:
        """Say what it is."""
        quality = _qualities().get(self.tables)
        tables = "own tables" if quality is None else f"quality {quality}"
        return f"{tables}, {_SAMPLINGS[self.sampling]}"

    def applied(self, photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return (H, W, 3) as it comes out of such a file."""
        file = io.BytesIO()
        tables = [list(table) for table in self.tables]
        Image.fromarray(photo).save(file, format="JPEG", qtables=tables, subsampling=self.sampling)
        return np.asarray(Image.open(file, formats=["JPEG"]).convert("RGB"))


def encoding_of(paths: Iterable[Path]) -> tuple[JPEGEncoding | None, int]:
    """Return the most frequent encoding of the JPEG files among these, and how many are JPEG.

    Read from their headers; None where none is.
    """
    found = Counter(filter(None, map(_encoding, paths)))
    if not found:
        return None, 0
    (encoding, _), *_ = found.most_common(1)
    return encoding, found.total()


def _encoding(path: Path) -> JPEGEncoding | None:
    with header_of(path) as image:
        return _read(image)


def _read(image: Image.Image) -> JPEGEncoding | None:
    if not isinstance(image, JpegImageFile):
        return None
    sampling = get_sampling(image)
    tables = tuple(tuple(table) for _, table in sorted(image.quantization.items()))
    return JPEGEncoding(tables, sampling if sampling in _SAMPLINGS else _USUAL)


@functools.cache
def _qualities() -> dict[Tables, int]:
    """Return libjpeg's quality of its own tables; qualities of equal ones are the highest."""
    return dict(_encoded_at_each_quality())


def _encoded_at_each_quality() -> Iterator[tuple[Tables, int]]:
    for quality in range(1, 101):
        file = io.BytesIO()
        Image.new("RGB", (8, 8)).save(file, format="JPEG", quality=quality)
        encoding = _read(Image.open(file, formats=["JPEG"]))
        assert encoding is not None
        yield encoding.tables, quality
