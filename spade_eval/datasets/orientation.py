# SPDX-License-Identifier: Apache-2.0
"""Photos that viewers turn by their EXIF tag, while the suite reads them as stored."""

import contextlib
import struct
from collections.abc import Sequence
from pathlib import Path

from PIL import ExifTags, Image

from spade_eval.datasets import files, png

_AS_STORED = 1


def is_turned(path: Path) -> bool:
    """Return whether a photo's header asks viewers to turn or mirror it; damaged tags do not."""
    with files.header_of(path) as image:
        if image.format == "PNG":  # whose tags Pillow reads with its pixels only
            exif = Image.Exif()
            with (
                path.open("rb") as file,
                contextlib.suppress(SyntaxError, ValueError, struct.error),
            ):
                exif.load(png.exif_in(file))
        else:
            exif = image.getexif()
        return exif.get(ExifTags.Base.Orientation, _AS_STORED) in range(2, 9)


def note_of_turned(names: Sequence[str]) -> tuple[str, ...]:
    """Say which photos are turned by viewers and not by the suite."""
    if not names:
        return ()
    return (
        f"{len(names)} photos have an EXIF orientation other than 1 and are read unturned, as "
        f"stored, like their label maps ({files.shortened(names)}): if the maps were drawn on the "
        "turned pictures, turn the pixels and remove the tag.",
    )
