# SPDX-License-Identifier: Apache-2.0
"""PNG files as chunks: checksums, completeness and stored bits, which Pillow does not all check.

Pillow takes image data with wrong checksums, takes streams that end before the last row, and scales
grey samples of 1, 2 and 4 bits to 0..255. Chunks and passes are those of the PNG specification,
third edition (W3C 2025), sections 5, 7 and 8.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_ANCILLARY = 0x20  # the bit of a chunk's name that says: an image is whole without it
_TRANSPARENCY = b"tRNS"  # the only ancillary chunk that changes pixels
# Of the seven passes of an interlaced file: first column and row, steps between them.
_WHOLE = ((0, 0, 1, 1),)
_ADAM7 = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)


@dataclass(frozen=True, kw_only=True)
class Png:
    """A file whose chunks are sound; `content` is the same file without texts and profiles."""

    width: int
    height: int
    bits: int  # of a sample
    colour_type: int
    interlaced: bool
    content: bytes

    @property
    def is_scaled_grey(self) -> bool:
        """Whether Pillow scales the samples: grey ones of fewer than 8 bits."""
        return self.colour_type == 0 and self.bits < 8

    def require_every_row(self) -> None:
        """Unpack the image data; `ValueError` if they end before the last row."""
        packed = b"".join(data for name, data, _ in _chunks(self.content) if name == b"IDAT")
        expected = self._bytes_of_rows()
        present = len(zlib.decompressobj().decompress(packed, expected))
        if present < expected:
            raise ValueError(f"its image data end after {present} of {expected} bytes")

    def _bytes_of_rows(self) -> int:
        """Count the bytes of all rows, each after one byte that names its filter."""
        total, bits = 0, self.bits * _CHANNELS[self.colour_type]
        for left, top, step_x, step_y in _ADAM7 if self.interlaced else _WHOLE:
            columns = -(-(self.width - left) // step_x)
            rows = -(-(self.height - top) // step_y)
            if columns > 0 and rows > 0:
                total += rows * (1 + -(-columns * bits // 8))
        return total


def parsed(content: bytes) -> Png:
    """Check every chunk of a file and drop what does not change pixels; `ValueError` if damaged."""
    header = b""
    kept: list[bytes | memoryview] = [SIGNATURE]
    dropped = False
    for name, data, chunk in _chunks(content):
        if (name == b"IHDR") == bool(header):
            raise ValueError("IHDR is not its first chunk alone")
        header = header or bytes(data)
        if name[0] & _ANCILLARY and name != _TRANSPARENCY:
            dropped = True
        else:
            kept.append(chunk)
    width, height, bits, colour_type, _, _, interlaced = struct.unpack(">2I5B", header)
    if colour_type not in _CHANNELS:
        raise ValueError(f"its colour type is {colour_type}")
    return Png(
        width=width,
        height=height,
        bits=bits,
        colour_type=colour_type,
        interlaced=bool(interlaced),
        content=b"".join(kept) if dropped else content,
    )


def header_alone(file: BinaryIO) -> bytes:
    """Return a PNG's header and the start of its image data as a file; nothing for other files.

    Its size can be read from that whatever stands between the two.
    """
    header = file.read(len(SIGNATURE) + 25)
    return header + b"\0\0\0\0IDAT" if header.startswith(SIGNATURE) else b""


def exif_in(file: BinaryIO) -> bytes:
    """Return the EXIF data of a PNG without reading its image data; nothing where it has none."""
    file.seek(len(SIGNATURE))
    while len(start := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", start)
        if name == b"eXIf":
            return file.read(length)
        file.seek(length + 4, 1)
    return b""


def unscaled(samples: NDArray[np.integer], bits: int) -> NDArray[np.uint8]:
    """Turn grey samples as Pillow scales them (0..255, or booleans) into those of the file."""
    if samples.dtype == np.bool_:
        return samples.astype(np.uint8)
    return (samples // (255 // (2**bits - 1))).astype(np.uint8)


def _chunks(content: bytes) -> Iterator[tuple[bytes, memoryview, memoryview]]:
    """Yield name, data and all bytes of every chunk up to IEND; `ValueError` on a wrong one."""
    view, start, name = memoryview(content), len(SIGNATURE), b""
    while name != b"IEND":
        if start + 12 > len(content):
            raise ValueError("it ends before its last chunk, IEND")
        length, name = struct.unpack_from(">I4s", content, start)
        end = start + 12 + length
        if end > len(content):
            raise ValueError(f"it ends within its chunk {ascii(name)[2:-1]}")
        if zlib.crc32(view[start + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise ValueError(f"the checksum of its chunk {ascii(name)[2:-1]} is wrong")
        yield name, view[start + 8 : end - 4], view[start:end]
        start = end
