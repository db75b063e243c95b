# SPDX-License-Identifier: Apache-2.0
"""A zip of images, unpacked to be a folder of images: bounded, flat, nothing but images."""

import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile

from spade_eval.datasets.files import PHOTO_EXTENSIONS
from spade_eval.datasets.image_draws import folder_numbers
from spade_eval.errors import UserError
from spade_eval.files import lfs_pointer
from spade_eval.models.limits import MOST_IMAGE_BYTES
from spade_eval.models.zip_members import read_member, require_bounded

_MOST_IMAGES = 1_000_000
_DAMAGE = (
    *(OSError, ValueError, EOFError, RuntimeError, NotImplementedError, OverflowError),
    *(BadZipFile, zlib.error),
)


def unpack_images(path: Path, folder: Path) -> None:
    """Write the images of an archive directly into an empty folder, whatever folders they were in.

    Those of several draws, in folders `0`, `1` and so on, keep that folder. Other files are left
    out. `UserError` for a damaged archive, one that unpacks to far more than
    its size, and two images of one name.
    """
    try:
        with ZipFile(path) as archive:
            require_bounded(archive)
            names = list(_image_names(archive, path))
            draws = folder_numbers(list({PurePosixPath(name).parent.name for name in names}))
            for name in names:
                plain = PurePosixPath(name)  # of which one part is taken: it stays in the folder
                # Words and a number: no path of its own.
                target = folder / (plain.parent.name if len(draws) > 1 else "") / plain.name
                target.parent.mkdir(exist_ok=True)
                with target.open("xb") as file:
                    file.write(read_member(archive, name, MOST_IMAGE_BYTES))
    except UserError:
        raise
    except FileExistsError as error:
        raise UserError(
            f"{path}: {Path(error.filename).name!r} is there twice, expected each image once; pack "
            "one folder of images"
        ) from error
    except _DAMAGE as error:
        reason = lfs_pointer(path) or (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{path}: not a zip of images that can be read ({reason}); pack the folder again"
        ) from error


def _image_names(archive: ZipFile, path: Path) -> Iterator[str]:
    """Yield the members that are images; what macOS puts beside them is none."""
    names = archive.namelist()
    if len(names) > _MOST_IMAGES:
        raise UserError(f"{path}: {len(names):,} files, expected at most {_MOST_IMAGES:,}")
    for name in names:
        plain = PurePosixPath(name)
        if plain.suffix.lower() in PHOTO_EXTENSIONS and not plain.name.startswith("."):
            yield name
